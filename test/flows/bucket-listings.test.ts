import { afterAll, beforeAll, expect, test } from 'vitest';
import { openRows, type Rows } from '../support/rows.ts';
import { type S3Double, type S3Request, startS3 } from '../support/s3.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { makeContents } from './file-origin.ts';
import {
  allOf,
  at,
  bucketAt,
  createObjectImporter,
  type ObjectImporter,
  scripted,
} from './object-imports.ts';
import { countAllRows, countRowsAtRest } from './stored-rows.ts';

let s3: S3Double;
let server: TestServer;
let rows: Rows;
let importer: ObjectImporter;
let freshContent: () => Buffer;
let buckets = 0;

beforeAll(async () => {
  freshContent = await makeContents();
  s3 = await startS3();
  server = await startTestServer({ SLUICE_PLAN_SECONDS: '20', SLUICE_RETRY_BASE_SECONDS: '0.02' });
  importer = createObjectImporter(server);
  rows = await openRows(server.databaseUrl);
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
  await s3?.stop();
});

/** A bucket of empty objects, which takes no look to reject. */
function bucketOf(keys: readonly string[]): string {
  buckets += 1;
  const bucket = `bucket-${buckets}`;
  s3.createBucket(bucket);
  for (const key of keys) s3.put(bucket, key, '');
  return bucket;
}

const numbered = (count: number) =>
  Array.from({ length: count }, (_, n) => `${String(n).padStart(4, '0')}.mp4`);

const pageOf = ({ query }: Pick<S3Request, 'query'>) =>
  query.get('continuation-token') ?? query.get('start-after') ?? '';

/** Answers the listing of a bucket with an error; the request that a setup makes, for one key, is served. */
function failListing(
  bucket: string,
  answer: (page: string) => { readonly status: number; readonly code: string } | undefined,
) {
  return scripted(s3, (request) =>
    request.operation === 'ListObjectsV2' && request.bucket === bucket ? answer(pageOf(request)) : undefined,
  );
}

async function inPagesOf<T>(size: number, work: () => Promise<T>): Promise<T> {
  s3.maxKeys = size;
  try {
    return await work();
  } finally {
    s3.maxKeys = 1000;
  }
}

test('a prefix of the import, of the integration, or both say what counts as found', async () => {
  const keys = ['a/1.mp4', 'a/b/2.mp4', 'a/b/3.mp4', 'ab.mp4', 'c/4.mp4', 'ä/5.mp4'];
  const bucket = bucketOf(keys);
  const whole = await importer.integrate(bucketAt(s3, bucket));
  const part = await importer.integrate(bucketAt(s3, bucket, 'a/'));
  const found = async (integration: string, prefix?: string) => {
    const input = allOf(integration, prefix === undefined ? {} : { prefix });
    const brought = await inPagesOf(2, () => importer.bring(input));
    expect(brought.state.counts.found).toBe(brought.failed.size);
    return [...brought.failed.keys()];
  };
  expect(await found(whole)).toEqual(keys);
  expect(await found(whole, '')).toEqual(keys);
  expect(await found(whole, 'a')).toEqual(['a/1.mp4', 'a/b/2.mp4', 'a/b/3.mp4', 'ab.mp4']);
  expect(await found(whole, 'ä/')).toEqual(['ä/5.mp4']);
  expect(await found(part)).toEqual(['a/1.mp4', 'a/b/2.mp4', 'a/b/3.mp4']);
  expect(await found(part, 'a/b/')).toEqual(['a/b/2.mp4', 'a/b/3.mp4']);
  // A prefix is one of whole keys: what is wider than the integration's own finds no more than that.
  expect(await found(part, 'a')).toEqual(['a/1.mp4', 'a/b/2.mp4', 'a/b/3.mp4']);
  expect(await found(part, 'c/')).toEqual([]);
  expect(await found(part, 'b/')).toEqual([]);
});

test('an import of an empty bucket has SUCCEEDED, with nothing found', async () => {
  const integration = await importer.integrate(bucketAt(s3, bucketOf([])));
  const state = await importer.start(allOf(integration));
  expect(state).toMatchObject({
    state: 'SUCCEEDED',
    finished: true,
    hasFailures: false,
    error: null,
    counts: { found: 0 },
  });
});

test('a bucket that is gone is told at once, and nothing is stored, not even the idempotency key', async () => {
  const bucket = bucketOf(['a.mp4']);
  const integration = await importer.integrate(bucketAt(s3, bucket));
  const bringBack = failListing(bucket, () => ({ status: 404, code: 'NoSuchBucket' }));
  const before = await countRowsAtRest(rows);
  const input = allOf(integration, { idempotencyKey: 'gone and back' });
  for (let times = 0; times < 2; times += 1) {
    const result = await importer.ask(input);
    expect(result).toMatchObject({ __typename: 'SourceUnavailableError', code: 'SOURCE_NOT_FOUND' });
    expect(JSON.stringify(result)).toContain(bucket);
    expect(JSON.stringify(result)).not.toContain(s3.secretAccessKey);
  }
  expect(await countAllRows(rows)).toEqual(before);
  bringBack();
  expect((await importer.bring(input)).state.counts.found).toBe(1);
});

test('a listing that is refused is told with what it was refused for', async () => {
  const bucket = bucketOf(['a.mp4']);
  const integration = await importer.integrate(bucketAt(s3, bucket));
  const allow = failListing(bucket, () => ({ status: 403, code: 'AccessDenied' }));
  const refused = await importer.ask(allOf(integration));
  expect(refused).toMatchObject({ __typename: 'SourceUnavailableError', code: 'SOURCE_NOT_AUTHORIZED' });
  allow();
});

test('a listing that cannot be given for a while is gone on with, and finds all', async () => {
  const keys = numbered(45);
  const bucket = bucketOf(keys);
  const integration = await importer.integrate(bucketAt(s3, bucket));
  const asked = new Map<string, number>();
  const end = failListing(bucket, (page) => {
    const times = asked.get(page) ?? 0;
    asked.set(page, times + 1);
    // Of the first three pages; more often than a request is repeated at once.
    const isOfFirst = [...asked.keys()].indexOf(page) < 3;
    return isOfFirst && times < 3 ? { status: 503, code: 'SlowDown' } : undefined;
  });
  const brought = await inPagesOf(10, () => importer.bring(allOf(integration)));
  end();
  expect([...brought.failed.keys()]).toEqual(keys);
  expect(brought.state).toMatchObject({ error: { code: 'NOTHING_CAME_IN' }, counts: { found: 45 } });
  expect([...asked.values()].slice(0, 3).every((times) => times > 3)).toBe(true);
  expect(asked.size).toBe(5);
});

test('a listing that breaks off for good keeps what was found, and says how far it came', async () => {
  const bucket = bucketOf(numbered(45));
  s3.put(bucket, '0003.mp4', freshContent());
  const integration = await importer.integrate(bucketAt(s3, bucket));
  const pages: string[] = [];
  const end = failListing(bucket, (page) => {
    if (!pages.includes(page)) pages.push(page);
    return pages.indexOf(page) >= 2 ? { status: 403, code: 'AccessDenied' } : undefined;
  });
  const { state, tasks, failed } = await inPagesOf(10, () => importer.bring(allOf(integration)));
  end();
  expect(state).toMatchObject({
    state: 'SUCCEEDED',
    hasFailures: true,
    counts: { found: 20, ready: 1, rejected: 19 },
    error: { code: 'SOURCE_NOT_AUTHORIZED' },
  });
  expect(state.error?.message).toMatch(/^The listing broke off after 20 files, which go on: .*ListBucket/);
  expect([...tasks.keys(), ...failed.keys()].sort()).toEqual(numbered(20));
  expect(at(tasks, '0003.mp4').status).toBe('READY');

  // Nothing hinders the next one, which comes to the end.
  const next = await importer.bring(allOf(integration));
  expect(next.state).toMatchObject({ state: 'SUCCEEDED', error: null, counts: { found: 45, skipped: 1 } });
});

test('a source that cannot be read however often it is tried makes the import FAILED', async () => {
  const bucket = bucketOf(numbered(3));
  const integration = await importer.integrate(bucketAt(s3, bucket));
  s3.requests.length = 0;
  const end = failListing(bucket, () => ({ status: 503, code: 'ServiceUnavailable' }));
  const { state } = await importer.bring(allOf(integration));
  end();
  expect(state).toMatchObject({
    state: 'FAILED',
    hasFailures: false,
    error: { code: 'SOURCE_UNAVAILABLE' },
    counts: { found: 0 },
  });
  expect(state.error?.message).toContain('cannot answer at the moment');
  expect(s3.requests.length).toBeGreaterThan(8);
  expect((await importer.bring(allOf(integration))).state.counts.found).toBe(3);
});

test('a listing that cannot be gone on with, however often it is tried, keeps what was found', async () => {
  const bucket = bucketOf(numbered(25));
  s3.put(bucket, '0003.mp4', freshContent());
  const integration = await importer.integrate(bucketAt(s3, bucket));
  const pages: string[] = [];
  const end = failListing(bucket, (page) => {
    if (!pages.includes(page)) pages.push(page);
    return pages.indexOf(page) >= 1 ? { status: 503, code: 'ServiceUnavailable' } : undefined;
  });
  const { state } = await inPagesOf(10, () => importer.bring(allOf(integration)));
  end();
  expect(state).toMatchObject({
    state: 'SUCCEEDED',
    error: { code: 'SOURCE_UNAVAILABLE' },
    counts: { found: 10, ready: 1, rejected: 9, undecided: 0 },
  });
  expect(state.error?.message).toMatch(/^The listing broke off after 10 files, which go on: /);
});
