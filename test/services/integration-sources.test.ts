import { pino } from 'pino';
import { Agent } from 'undici';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { integrations } from '../../src/db/tables/integrations.ts';
import { sealCredentials } from '../../src/services/integration-credentials.ts';
import { createIntegrationSources } from '../../src/services/integration-sources.ts';
import { createSecretBox, SecretBoxError } from '../../src/services/secret-box.ts';
import { type S3Double, startS3 } from '../support/s3.ts';

type Row = typeof integrations.$inferSelect;

const secrets = createSecretBox({ current: Buffer.alloc(32, 1), previous: [] });
const agent = new Agent();
const options = {
  ...{ agent, secrets, allowFolders: [], defaultCredentials: false },
  log: pino({ level: 'silent' }),
};
const { signal } = new AbortController();

let s3: S3Double;

beforeAll(async () => {
  s3 = await startS3();
  s3.createBucket('clips');
});

afterAll(async () => {
  await agent.destroy();
  await s3?.stop();
});

beforeEach(() => {
  s3.requests.length = 0;
});

function rowOf(id: string, changes: Partial<Row> = {}): Row {
  const { endpoint, accessKeyId, secretAccessKey } = s3;
  return {
    ...{ id, teamId: 'team', name: 'Clips', kind: 'S3', folder: null, accessKeyHint: 'x' },
    s3: { bucket: 'clips', endpoint, forcePathStyle: true },
    credentials: sealCredentials(secrets, { id, teamId: 'team' }, { accessKeyId, secretAccessKey }),
    ...{ createdAt: new Date(), updatedAt: new Date() },
    ...changes,
  };
}

test('an integration has one source until it points elsewhere or has other credentials', async () => {
  const sources = createIntegrationSources(options);
  const row = rowOf('a');
  const source = sources.of(row);
  await source.check(signal);
  expect(sources.of({ ...row, name: 'New name', updatedAt: new Date(0) })).toBe(source);
  const moved = sources.of(
    rowOf('a', { s3: { ...(row.s3 ?? { bucket: '' }), bucket: 'clips', prefix: 'x', forcePathStyle: true } }),
  );
  expect(moved).not.toBe(source);
  expect(sources.of(rowOf('a', { credentials: null }))).not.toBe(moved);
  sources.close();
});

test('sources that were used longest ago are not kept, and work on for whoever has them', async () => {
  const sources = createIntegrationSources(options);
  const [first, second] = [rowOf('first'), rowOf('second')];
  const source = sources.of(first);
  const other = sources.of(second);
  await other.check(signal);
  for (let n = 0; n < 199; n += 1) {
    sources.of(first);
    sources.of(rowOf(`${n}`));
  }
  expect(sources.of(first)).toBe(source);
  expect(sources.of(second)).not.toBe(other);
  await other.check(signal);
  sources.close();
});

test('credentials of another row open nothing', () => {
  const sources = createIntegrationSources(options);
  expect(() => sources.of(rowOf('b', { credentials: rowOf('a').credentials }))).toThrow(SecretBoxError);
});

test("the server's own credentials are never sent to an endpoint that somebody has named", async () => {
  const sources = createIntegrationSources({ ...options, defaultCredentials: true });
  await expect(sources.of(rowOf('a', { credentials: null })).check(signal)).rejects.toMatchObject({
    code: 'SOURCE_NOT_AUTHORIZED',
  });
  expect(s3.requests.map(({ signed }) => signed)).not.toContain(true);
  expect(s3.requests).not.toEqual([]);
  sources.close();
});
