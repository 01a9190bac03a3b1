import { afterAll, beforeAll, expect, test } from 'vitest';
import { oddKeys } from '../support/s3/odd-keys.ts';
import { type S3Double, startS3 } from '../support/s3.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { makeContents, sha256 } from './file-origin.ts';
import {
  allOf,
  at,
  type Brought,
  bucketAt,
  createObjectImporter,
  isGet,
  isTransfer,
  type ObjectImporter,
  scripted,
  tally,
} from './object-imports.ts';

const BUCKET = 'library';
const OBJECTS = 2345;
const CLIPS = 24;
const TEXTS = 120;
const SCRAPS = 40;
const TOO_LARGE = 30;

let s3: S3Double;
let server: TestServer;
let importer: ObjectImporter;
let freshContent: () => Buffer;
let integration: string;
/** The objects that are videos, by key. */
const clips = new Map<string, Buffer>();
let first: Brought;

beforeAll(async () => {
  freshContent = await makeContents();
  s3 = await startS3();
  server = await startTestServer({ SLUICE_PLAN_SECONDS: '100' });
  importer = createObjectImporter(server);
  s3.createBucket(BUCKET);
  fillBucket();
  integration = await importer.integrate(bucketAt(s3, BUCKET));
});

afterAll(async () => {
  await server?.stop();
  await s3?.stop();
});

function putClip(key: string, bytes: Buffer): void {
  clips.set(key, bytes);
  s3.put(BUCKET, key, bytes);
}

/** Videos at keys of every kind, and others; and very many of which the listing alone tells that they are none. */
function fillBucket(): void {
  for (const key of oddKeys) if (!key.endsWith('/')) putClip(key, freshContent());
  for (let n = 0; n < CLIPS; n += 1) putClip(`clips/${n}.mp4`, freshContent());
  s3.put(BUCKET, 'folder/', '');
  for (let n = 0; n < TEXTS; n += 1)
    s3.put(BUCKET, `texts/${n}.txt`, `Text ${n}`, { contentType: 'text/plain' });
  for (let n = 0; n < SCRAPS; n += 1) s3.put(BUCKET, `scraps/${n}`, `no video: ${n}`);
  for (let n = 0; n < TOO_LARGE; n += 1)
    s3.put(BUCKET, `small/${n}`, '', { contentType: 'application/octet-stream' });
  const named = s3.keys(BUCKET).length;
  s3.fill(BUCKET, OBJECTS - named, (n) => ({
    key: `many/${String(n).padStart(5, '0')}.mp4`,
    size: n % 2 === 0 ? 0 : 3_000_000_000,
  }));
}

/** Which objects were asked for during some work. */
async function askedDuring<T>(work: () => Promise<T>): Promise<{ result: T; keys: ReadonlySet<string> }> {
  s3.requests.length = 0;
  const result = await work();
  return { result, keys: new Set(s3.requests.filter(isGet).map(({ key }) => key)) };
}

/** Refuses to give the objects to transfers; looks are answered. */
const refuseTransfers = (...keys: string[]) =>
  scripted(s3, (request) =>
    isTransfer(request) && keys.includes(request.key) ? { status: 403, code: 'AccessDenied' } : undefined,
  );

test('every object of three pages is planned once, whatever its key, and what is a video comes in', async () => {
  s3.requests.length = 0;
  first = await importer.bring(allOf(integration));
  const keys = s3.keys(BUCKET);
  expect(keys).toHaveLength(OBJECTS);
  expect([...first.tasks.keys(), ...first.failed.keys()].sort()).toEqual([...keys].sort());
  expect([...first.tasks.keys()].sort()).toEqual([...clips.keys()].sort());
  expect(first.state).toMatchObject({
    state: 'SUCCEEDED',
    hasFailures: true,
    error: null,
    integration: { id: integration },
    counts: { found: OBJECTS, undecided: 0, ready: clips.size, rejected: OBJECTS - clips.size },
  });
  for (const [key, bytes] of clips) {
    expect(at(first.tasks, key)).toMatchObject({
      status: 'READY',
      outcome: 'CREATED',
      externalId: null,
      video: { sha256: sha256(bytes) },
    });
  }
  const empty = Math.ceil((OBJECTS - s3.keys(BUCKET).filter((key) => !key.startsWith('many/')).length) / 2);
  expect(tally([...first.failed.values()].map(({ error }) => error.code))).toEqual({
    VIDEO_FILE_BROKEN: empty + TOO_LARGE,
    VIDEO_FILESIZE_TOO_LARGE: OBJECTS - clips.size - empty - TOO_LARGE - TEXTS - SCRAPS - 1,
    UNSUPPORTED_MEDIA_TYPE: TEXTS + SCRAPS + 1,
  });
  expect(at(first.failed, 'folder/')).toMatchObject({ fileName: 'folder', name: 'folder' });
  expect(at(first.tasks, '../up.mp4')).toMatchObject({ fileName: 'up.mp4', name: 'up.mp4' });
  const pages = s3.requests.filter((request) => request.query.get('max-keys') === '1000');
  expect(pages.map(({ operation, status }) => [operation, status])).toEqual(
    Array.from({ length: 3 }, () => ['ListObjectsV2', 200]),
  );
  // What the listing tells takes no request.
  expect(s3.requests.filter((request) => isGet(request) && request.key.startsWith('many/'))).toEqual([]);
});

test('a second import asks for nothing that came in, and judges anew what was rejected', async () => {
  const { result: second, keys } = await askedDuring(() => importer.bring(allOf(integration)));
  expect(second.state).toMatchObject({
    state: 'SUCCEEDED',
    counts: { found: OBJECTS, skipped: clips.size, rejected: OBJECTS - clips.size, ready: 0 },
  });
  for (const key of clips.keys()) {
    expect(at(second.tasks, key)).toMatchObject({
      status: 'SKIPPED',
      skipReason: 'SAME_CONTENT',
      attempts: 0,
      progress: { bytesDone: 0, fraction: 1 },
      video: at(first.tasks, key).video && { id: at(first.tasks, key).videoId },
    });
  }
  expect([...keys].filter((key) => clips.has(key))).toEqual([]);
  expect(keys.size).toBe(TEXTS + SCRAPS);
});

test('incremental: false brings the same objects in again, as new videos', async () => {
  const options = { prefix: 'clips/1', incremental: false };
  const again = await importer.bring(allOf(integration, options));
  const keys = [...clips.keys()].filter((key) => key.startsWith('clips/1'));
  expect(again.state.counts).toMatchObject({ found: keys.length, ready: keys.length });
  for (const key of keys) {
    const [before, after] = [at(first.tasks, key), at(again.tasks, key)];
    expect(after).toMatchObject({ outcome: 'CREATED', video: { sha256: before.video?.sha256 } });
    expect(after.videoId).not.toBe(before.videoId);
  }
  const third = await importer.bring(allOf(integration, { prefix: 'clips/1' }));
  expect(third.state.counts).toMatchObject({ found: keys.length, skipped: keys.length });
});

test('an object that was replaced comes in as a new video, and the old one stays', async () => {
  const bytes = freshContent();
  const before = at(first.tasks, 'clips/2.mp4');
  putClip('clips/2.mp4', bytes);
  const { result, keys } = await askedDuring(() => importer.bring(allOf(integration, { prefix: 'clips/2' })));
  expect([...keys]).toEqual(['clips/2.mp4']);
  expect(tally([...result.tasks.values()].map(({ status }) => status))).toEqual({ READY: 1, SKIPPED: 4 });
  const after = at(result.tasks, 'clips/2.mp4');
  expect(after).toMatchObject({ outcome: 'CREATED', video: { sha256: sha256(bytes) } });
  expect(after.videoId).not.toBe(before.videoId);
  const old = await fetch(before.video?.originalUrl ?? '');
  expect(sha256(await old.bytes())).toBe(before.video?.sha256);
});

test('the same content at two keys is one video, and both are known from then on', async () => {
  const bytes = freshContent();
  for (const key of ['twins/a.mp4', 'twins/b.mp4']) putClip(key, bytes);
  const both = await importer.bring(allOf(integration, { prefix: 'twins/' }));
  expect(both.state.counts).toMatchObject({ found: 2, ready: 1, skipped: 1 });
  const { result, keys } = await askedDuring(() => importer.bring(allOf(integration, { prefix: 'twins/' })));
  expect(result.state.counts).toMatchObject({ found: 2, skipped: 2 });
  expect(keys.size).toBe(0);
  expect(new Set([...result.tasks.values()].map(({ videoId }) => videoId)).size).toBe(1);
});

test('what failed is left alone until it is asked for, or replaced', async () => {
  const [stays, replaced] = ['failing/a.mp4', 'failing/b.mp4'];
  for (const key of [stays, replaced]) putClip(key, freshContent());
  putClip('failing/c.mp4', freshContent());
  const allow = refuseTransfers(stays, replaced);
  const failing = (options: { retryFailed?: boolean } = {}) =>
    importer.bring(allOf(integration, { prefix: 'failing/', ...options }));
  const one = await failing();
  expect(one.state).toMatchObject({
    state: 'SUCCEEDED',
    hasFailures: true,
    counts: { ready: 1, failed: 2 },
  });
  const denied = { status: 'FAILED', error: { code: 'SOURCE_NOT_AUTHORIZED' }, video: null };
  expect(at(one.tasks, stays)).toMatchObject(denied);

  for (const round of [1, 2]) {
    const { result, keys } = await askedDuring(() => failing());
    expect(result.state, `round ${round}`).toMatchObject({
      state: 'SUCCEEDED',
      hasFailures: false,
      counts: { skipped: 3 },
    });
    const skipped = at(result.tasks, stays);
    expect(skipped).toMatchObject({ skipReason: 'FAILED_BEFORE', video: null, attempts: 0, error: null });
    expect(skipped.reason).toContain(at(one.tasks, stays).error?.message);
    expect(at(result.tasks, 'failing/c.mp4').skipReason).toBe('SAME_CONTENT');
    expect([...keys]).toEqual([]);
  }

  const still = await failing({ retryFailed: true });
  expect(at(still.tasks, stays)).toMatchObject(denied);
  expect(still.state.counts).toMatchObject({ failed: 2, skipped: 1 });

  allow();
  putClip(replaced, freshContent());
  const { result, keys } = await askedDuring(() => failing());
  expect(at(result.tasks, stays)).toMatchObject({ skipReason: 'FAILED_BEFORE' });
  expect(at(result.tasks, replaced)).toMatchObject({ status: 'READY', outcome: 'CREATED' });
  expect([...keys]).toEqual([replaced]);

  const last = await failing({ retryFailed: true });
  expect(at(last.tasks, stays)).toMatchObject({ status: 'READY', outcome: 'CREATED' });
  expect(last.state.counts).toMatchObject({ ready: 1, skipped: 2 });
});

test('objects named one by one are judged anew, whatever became of them before', async () => {
  const key = 'named/a.mp4';
  putClip(key, freshContent());
  const allow = refuseTransfers(key);
  await importer.bring(allOf(integration, { prefix: 'named/' }));
  allow();
  const named = await importer.bring({
    from: { objects: { integrationId: integration, objects: [{ key }] } },
  });
  expect(at(named.tasks, key)).toMatchObject({ status: 'READY', outcome: 'CREATED' });
});
