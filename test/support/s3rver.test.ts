import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { sdkClient } from './s3/sdk.ts';
import { startS3rver } from './s3rver.ts';

test('s3rver starts with its bucket, and is asked like the double', async () => {
  const s3rver = await startS3rver({ bucket: 'films' });
  const client = sdkClient(s3rver);
  await s3rver.put('folder/a b+ü.mp4', 'x');
  const { Contents } = await client.send(new ListObjectsV2Command({ Bucket: 'films' }));
  expect(Contents).toMatchObject([{ Key: 'folder/a b+ü.mp4', Size: 1 }]);
  client.destroy();
  await s3rver.stop();
});
