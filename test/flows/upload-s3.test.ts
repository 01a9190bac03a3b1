import { expect, onTestFinished, test, vi } from 'vitest';
import { box } from '../media/support/mp4-surgery.ts';
import { startS3 } from '../support/s3.ts';
import { startTestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { createTaskCreator } from './created-tasks.ts';
import { makeContents, sha256 } from './file-origin.ts';
import { createTusClient, idOf } from './tus-client.ts';

const MIB = 1024 * 1024;

test('uploads into a bucket: pieces of any size, copied by the store, and nothing is left of them', async () => {
  const s3 = await startS3();
  onTestFinished(() => s3.stop());
  s3.createBucket('media');
  vi.stubEnv('AWS_ACCESS_KEY_ID', s3.accessKeyId);
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', s3.secretAccessKey);
  onTestFinished(() => void vi.unstubAllEnvs());
  const endpoint = encodeURIComponent(s3.endpoint);
  const server = await startTestServer({
    SLUICE_STORAGE_URL: `s3://media/kept?endpoint=${endpoint}&pathStyle=true`,
  });
  onTestFinished(() => server.stop());
  const tus = createTusClient(server);
  const creator = createTaskCreator(server);
  const bytes = Buffer.concat([(await makeContents())(), box('free', Buffer.alloc(12 * MIB, 7))]);

  const given = await tus.begin(100);
  await tus.patch(given, 0, Buffer.alloc(50));
  expect((await tus.send({ method: 'DELETE', at: given })).status).toBe(204);
  expect((await tus.send({ method: 'HEAD', at: given })).status).toBe(410);

  const path = await tus.begin(bytes.length);
  const task = await creator.create({ from: { uploadId: idOf(path) }, sha256: sha256(bytes) });
  let at = 0;
  for (const size of [1000, 2 * MIB, 6 * MIB, 1, bytes.length]) {
    const piece = bytes.subarray(at, at + size);
    const answer = await tus.patch(path, at, piece);
    expect([at, size, answer.status, answer.body]).toEqual([at, size, 204, '']);
    at += piece.length;
    expect(await tus.offset(path)).toBe(at);
  }
  expect((await creator.follow(task)).at(-1)).toMatchObject({
    status: 'READY',
    attempts: 1,
    video: { sha256: sha256(bytes) },
  });
  expect(s3.requests.filter(({ operation }) => operation === 'CopyObject')).toHaveLength(1);
  await waitFor(
    () =>
      s3.keys('media').every((key) => !key.startsWith('kept/uploads/')) && s3.uploads('media').length === 0,
    { what: 'what is left of the uploads to go' },
  );
  expect(s3.keys('media')).toEqual([expect.stringMatching(/^kept\/teams\/.*\/original$/)]);
});
