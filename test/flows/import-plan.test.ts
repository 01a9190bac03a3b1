import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createTestClient } from '../support/client.ts';
import { insertTeam, openRows, type Rows } from '../support/rows.ts';
import { type S3Double, startS3 } from '../support/s3.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { type FileOrigin, makeContents, sha256, startFileOrigin } from './file-origin.ts';
import {
  allOf,
  at,
  bucketAt,
  createObjectImporter,
  isGet,
  isObjectLook,
  isTransfer,
  type ObjectImporter,
  type StartInput,
  scripted,
} from './object-imports.ts';
import { PLAN, type Plan, type PlanResult, planIn } from './plans.ts';
import { countAllRows, countRowsAtRest } from './stored-rows.ts';

let s3: S3Double;
let origin: FileOrigin;
let server: TestServer;
let rows: Rows;
let importer: ObjectImporter;
let freshContent: () => Buffer;
let integration: string;
let bucket: string;
let buckets = 0;

beforeAll(async () => {
  freshContent = await makeContents();
  origin = await startFileOrigin();
  s3 = await startS3();
  server = await startTestServer({ SLUICE_PLAN_SECONDS: '100' });
  importer = createObjectImporter(server);
  rows = await openRows(server.databaseUrl);
});

beforeEach(async () => {
  buckets += 1;
  bucket = `bucket-${buckets}`;
  s3.createBucket(bucket);
  integration = await importer.integrate(bucketAt(s3, bucket));
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
  await s3?.stop();
  await origin?.close();
});

function put(key: string, bytes: Uint8Array = freshContent()): Uint8Array {
  s3.put(bucket, key, bytes);
  return bytes;
}

const ask = async (input: StartInput, client: Pick<TestServer, 'query'> = server): Promise<PlanResult> =>
  (await client.query(PLAN, { input })).importPlan;

/** A plan whose counts add up, and that has left no trace in any table. */
async function plan(input: StartInput): Promise<Plan> {
  const before = await countRowsAtRest(rows);
  const result = await ask(input);
  expect(await countAllRows(rows)).toEqual(before);
  return planIn(result);
}

const keysOf = (list: Plan['accepted']) => list.map(({ sourceKey }) => sourceKey);

test('a plan of a bucket says what an import does then', async () => {
  const known = put('a/known.mp4');
  put('a/failing.mp4');
  const end = scripted(s3, (request) =>
    isTransfer(request) && request.key === 'a/failing.mp4' ? { status: 403 } : undefined,
  );
  const before = await importer.bring(allOf(integration));
  end();
  const fresh = put('b/new one.mp4');
  s3.put(bucket, 'b/text.mp4', 'no video');
  s3.put(bucket, 'b/empty.mp4', '');
  s3.requests.length = 0;
  const planned = await plan(allOf(integration, { idempotencyKey: 'ignored' }));
  expect(s3.requests.some(isTransfer)).toBe(false);
  expect(planned).toMatchObject({
    found: 5,
    acceptedCount: 1,
    skippedCount: 2,
    rejectedCount: 2,
    undecidedCount: 0,
    bytesTotal: fresh.length,
  });
  expect(planned.accepted).toEqual([
    {
      fileName: 'new one.mp4',
      sourceKey: 'b/new one.mp4',
      name: 'new one.mp4',
      externalId: null,
      size: fresh.length,
      duration: expect.closeTo(4, 0),
      width: 480,
      height: 360,
      skipReason: null,
      existingVideo: null,
      error: null,
    },
  ]);
  const skipped = new Map(planned.skipped.map((video) => [video.sourceKey ?? '', video]));
  expect(at(skipped, 'a/known.mp4')).toMatchObject({
    skipReason: 'SAME_CONTENT',
    size: known.length,
    existingVideo: { id: at(before.tasks, 'a/known.mp4').videoId, sha256: sha256(known) },
  });
  expect(at(skipped, 'a/failing.mp4')).toMatchObject({ skipReason: 'FAILED_BEFORE', existingVideo: null });
  const errors = planned.rejected.map(({ sourceKey, error }) => [sourceKey, error?.code]);
  expect(Object.fromEntries(errors)).toEqual({
    'b/text.mp4': 'UNSUPPORTED_MEDIA_TYPE',
    'b/empty.mp4': 'VIDEO_FILE_BROKEN',
  });

  expect(await plan(allOf(integration, { retryFailed: true }))).toMatchObject({ acceptedCount: 2 });
  expect(await plan(allOf(integration, { retryFailed: true, incremental: false }))).toMatchObject({
    acceptedCount: 3,
    bytesTotal: 3 * fresh.length,
  });
  expect(await plan(allOf(integration, { prefix: 'b/' }))).toMatchObject({ found: 3, skippedCount: 0 });

  const brought = await importer.bring(allOf(integration));
  expect([...brought.tasks.keys()]).toEqual([...keysOf(planned.skipped), ...keysOf(planned.accepted)].sort());
  expect([...brought.failed.keys()].sort()).toEqual(keysOf(planned.rejected).sort());
});

test('a plan of objects tells what is named twice, or is not there', async () => {
  const bytes = put('a.mp4');
  const objects = [
    { key: 'a.mp4', name: 'A' },
    { key: 'missing.mp4', fileName: 'gone.mp4' },
    { key: 'a.mp4', name: 'A again' },
  ];
  const planned = await plan({ from: { objects: { integrationId: integration, objects } } });
  expect(planned).toMatchObject({ found: 3, acceptedCount: 1, rejectedCount: 2 });
  expect(planned.accepted).toMatchObject([{ sourceKey: 'a.mp4', name: 'A', size: bytes.length, width: 480 }]);
  const rejected = planned.rejected.map(({ name, fileName, error }) => [name, fileName, error?.code]);
  expect(rejected.sort()).toEqual([
    ['A again', 'a.mp4', 'DUPLICATE_IN_REQUEST'],
    ['gone.mp4', 'gone.mp4', 'SOURCE_NOT_FOUND'],
  ]);
});

test('lists hold the first hundred, and counts count all', async () => {
  const bytes = put('known.mp4');
  const { tasks } = await importer.bring(allOf(integration, { prefix: 'known' }));
  const id = at(tasks, 'known.mp4').videoId;
  for (let n = 0; n < 110; n += 1) put(`accepted/${String(n).padStart(3, '0')}.mp4`, bytes);
  s3.fill(bucket, 1300, (n) => ({ key: `rejected/${String(n).padStart(4, '0')}.mp4`, size: 0 }));
  const planned = await plan(allOf(integration));
  expect(planned).toMatchObject({
    found: 1411,
    acceptedCount: 110,
    skippedCount: 1,
    rejectedCount: 1300,
    bytesTotal: 110 * bytes.length,
  });
  // The first that were found, in that order, whenever they were decided.
  const first = (folder: string, digits: number) =>
    Array.from({ length: 100 }, (_, n) => `${folder}/${String(n).padStart(digits, '0')}.mp4`);
  expect(keysOf(planned.accepted)).toEqual(first('accepted', 3));
  expect(keysOf(planned.rejected)).toEqual(first('rejected', 4));

  const videos = Array.from({ length: 120 }, (_, n) => ({
    externalId: `${n}`,
    fileName: 'a.mp4',
    url: origin.missing,
    sha256: sha256(bytes),
  }));
  const skipped = await plan({ from: { videos: { systemName: 'dam', videos } } });
  expect(skipped).toMatchObject({ found: 120, skippedCount: 120, bytesTotal: 0 });
  expect(skipped.skipped.every(({ existingVideo }) => existingVideo?.id === id)).toBe(true);
  expect(skipped.skipped[0]).toMatchObject({ externalId: '0', sourceKey: null, skipReason: 'SAME_CONTENT' });
});

test('the bytes are unknown as soon as the size of one accepted video is', async () => {
  put('a.mp4');
  const objects = [{ key: 'a.mp4' }, { key: 'b.mp4' }];
  put('b.mp4');
  const end = scripted(s3, (request) =>
    isObjectLook(request) && request.key === 'b.mp4' ? { status: 503 } : undefined,
  );
  const planned = await plan({ from: { objects: { integrationId: integration, objects } } });
  end();
  expect(planned).toMatchObject({ acceptedCount: 2, bytesTotal: null });
});

test('a plan answers in time, with what is decided by then', async () => {
  // Long enough for a listing on a busy machine.
  const quick = await startTestServer({ SLUICE_PLAN_SECONDS: '5' });
  const quickRows = await openRows(quick.databaseUrl);
  try {
    const quickly = createObjectImporter(quick);
    const source = await quickly.integrate(bucketAt(s3, bucket));
    for (let n = 0; n < 3; n += 1) s3.put(bucket, `slow-${n}.mp4`, freshContent());
    s3.put(bucket, 'empty.mp4', '');
    const end = scripted(s3, (request) => (isGet(request) ? { hang: true } : undefined));
    const before = await countRowsAtRest(quickRows);
    expect(planIn(await ask(allOf(source), quick))).toMatchObject({
      found: 4,
      rejectedCount: 1,
      undecidedCount: 3,
      acceptedCount: 0,
    });
    expect(await countAllRows(quickRows)).toEqual(before);
    end();

    // A listing that does not come in time has found nothing so far.
    const never = scripted(s3, () => ({ hang: true }));
    expect(planIn(await ask(allOf(source), quick))).toMatchObject({ found: 0, undecidedCount: 0 });
    never();
  } finally {
    await quickRows.close();
    await quick.stop();
  }
});

test('a plan is made while an import runs from the same integration, which it does not disturb', async () => {
  put('a.mp4');
  const hold = scripted(s3, (request) => (isTransfer(request) ? { status: 503 } : undefined));
  const { id } = await importer.start(allOf(integration));
  put('b.mp4');
  const planned = planIn(await ask(allOf(integration)));
  expect(keysOf(planned.accepted)).toEqual(['a.mp4', 'b.mp4']);
  expect(await importer.until(id, () => true)).toMatchObject({ finished: false });
  hold();
  expect(await importer.end(id)).toMatchObject({ state: 'SUCCEEDED', counts: { found: 1, ready: 1 } });
});

test('a source that cannot be listed is told as such', async () => {
  const answers = [
    [{ status: 404, code: 'NoSuchBucket' }, 'SOURCE_NOT_FOUND'],
    [{ status: 403, code: 'AccessDenied' }, 'SOURCE_NOT_AUTHORIZED'],
    [{ status: 503, code: 'SlowDown' }, 'SOURCE_UNAVAILABLE'],
  ] as const;
  const before = await countRowsAtRest(rows);
  for (const [answer, code] of answers) {
    const end = scripted(s3, () => answer);
    expect(await ask(allOf(integration))).toMatchObject({ __typename: 'SourceUnavailableError', code });
    end();
  }
  expect(await countAllRows(rows)).toEqual(before);
});

test('wrong input and ids of others are refused as startImport does', async () => {
  const objects = { integrationId: integration, objects: [{ key: '' }] };
  expect(await ask({ from: { objects } })).toMatchObject({
    __typename: 'InvalidInputError',
    issues: [{ path: ['input', 'from', 'objects', 'objects', '0', 'key'], code: 'TOO_SHORT' }],
  });
  const { key } = await insertTeam(rows, 'Others');
  expect(await ask(allOf(integration), createTestClient({ url: server.url, key }))).toMatchObject({
    __typename: 'NotFoundError',
    path: ['input', 'from', 'integration', 'integrationId'],
  });
});
