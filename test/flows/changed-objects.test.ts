import { afterAll, beforeAll, expect, test } from 'vitest';
import { box } from '../media/support/mp4-surgery.ts';
import { type S3Double, type S3Request, type Scripted, startS3 } from '../support/s3.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { makeContents, sha256 } from './file-origin.ts';
import {
  at,
  bucketAt,
  createObjectImporter,
  isTransfer,
  type ObjectImporter,
  type ObjectTask,
  scripted,
} from './object-imports.ts';

let s3: S3Double;
let server: TestServer;
let importer: ObjectImporter;
let freshContent: () => Buffer;
let integration: string;

beforeAll(async () => {
  freshContent = await makeContents();
  s3 = await startS3();
  s3.createBucket('library');
  server = await startTestServer({ SLUICE_PLAN_SECONDS: '20' });
  importer = createObjectImporter(server);
  integration = await importer.integrate(bucketAt(s3, 'library'));
});

afterAll(async () => {
  await server?.stop();
  await s3?.stop();
});

/** Where transfers are cut off: far enough for some of it to have come. */
const CUT = { cutAfterBytes: 400_000 };
const PADDING = box('free', Buffer.alloc(1_500_000));

/** Stores a new video, of more than 1.5 MB. */
function put(key: string): Buffer {
  const bytes = Buffer.concat([freshContent(), PADDING]);
  s3.put('library', key, bytes);
  return bytes;
}

const input = (key: string) => ({ from: { objects: { integrationId: integration, objects: [{ key }] } } });

/** Imports one object, and meddles with each request of its transfer before that is served. */
async function bring(
  key: string,
  meddle: (times: number, request: S3Request) => Scripted | undefined,
): Promise<ObjectTask> {
  let times = 0;
  const end = scripted(s3, (request) => {
    if (request.key !== key || !isTransfer(request)) return undefined;
    times += 1;
    return meddle(times, request);
  });
  try {
    const { tasks } = await importer.bring(input(key));
    return at(tasks, key);
  } finally {
    end();
  }
}

const transfersOf = (key: string) =>
  s3.requests.filter((request) => request.key === key && isTransfer(request));
const headersOf = (key: string) =>
  transfersOf(key).map(({ headers }) => [headers.range ?? null, headers['if-match'] ?? null]);

test('an object that is deleted between planning and transfer makes its task FAILED, SOURCE_NOT_FOUND', async () => {
  put('deleted.mp4');
  const task = await bring('deleted.mp4', () => {
    s3.remove('library', 'deleted.mp4');
    return undefined;
  });
  expect(task).toMatchObject({
    status: 'FAILED',
    attempts: 1,
    video: null,
    error: { code: 'SOURCE_NOT_FOUND', retryable: false },
  });
});

test('an object that is replaced between planning and transfer comes in as it is by then', async () => {
  const key = 'replaced.mp4';
  put(key);
  let newer: Buffer = Buffer.alloc(0);
  const task = await bring(key, (times) => {
    if (times === 1) newer = put(key);
    return undefined;
  });
  expect(task).toMatchObject({ status: 'READY', attempts: 1, video: { sha256: sha256(newer) } });
  expect(task.progress.bytesDone).toBe(newer.length);
  expect(transfersOf(key).map(({ status }) => status)).toEqual([412, 200]);
  const stored = await fetch(task.video?.originalUrl ?? '');
  expect(Buffer.from(await stored.arrayBuffer()).equals(newer)).toBe(true);
  // It is the newer one that is known from now on.
  const { tasks } = await importer.bring(input(key));
  expect(at(tasks, key)).toMatchObject({ skipReason: 'SAME_CONTENT', videoId: task.videoId });
});

test('an object that is replaced in the middle of its transfer comes in whole, as it is by then', async () => {
  const key = 'replaced-in-the-middle.mp4';
  put(key);
  let newer: Buffer = Buffer.alloc(0);
  const task = await bring(key, (times) => {
    if (times === 1) return CUT;
    if (times === 2) newer = put(key);
    return undefined;
  });
  expect(task).toMatchObject({ status: 'READY', attempts: 1, video: { sha256: sha256(newer) } });
  expect(transfersOf(key).map(({ status }) => status)).toEqual([200, 412, 200]);
});

test('an object that is replaced again and again makes its task FAILED, SOURCE_CHANGED', async () => {
  const key = 'restless.mp4';
  put(key);
  const task = await bring(key, () => {
    put(key);
    return CUT;
  });
  expect(task).toMatchObject({ status: 'FAILED', video: null, error: { code: 'SOURCE_CHANGED' } });
  expect(transfersOf(key).length).toBeLessThan(6);
});

test.each([
  { status: 503, code: 'SlowDown', retryAfter: 1 },
  { status: 429, code: 'TooManyRequests', retryAfter: 1 },
  { status: 500, code: 'InternalError' },
])('a transfer that is answered $status $code is tried again later', async (answer) => {
  const key = `throttled-${answer.status}.mp4`;
  const bytes = put(key);
  let isOpen = false;
  const end = scripted(s3, (request) =>
    request.key === key && isTransfer(request) && !isOpen ? answer : undefined,
  );
  const { id } = await importer.start(input(key));
  const waiting = await waitFor(async () => {
    const [task] = await importer.tasks(id);
    return task?.waitingFor === 'RETRY' && task;
  });
  const refused = transfersOf(key);
  expect(waiting).toMatchObject({
    status: 'PENDING',
    error: { code: 'SOURCE_UNAVAILABLE', retryable: true },
  });
  const nextAt = new Date(waiting.nextAttemptAt ?? Number.NaN).getTime();
  const seconds = answer.retryAfter ?? 0;
  expect(nextAt).toBeGreaterThanOrEqual((refused[0]?.at.getTime() ?? Number.NaN) + seconds * 1000);
  isOpen = true;
  await importer.end(id);
  end();
  const [task] = await importer.tasks(id);
  expect(task).toMatchObject({ status: 'READY', error: null, video: { sha256: sha256(bytes) } });
  const asked = transfersOf(key);
  // Nobody asks again but the attempts that are counted.
  expect(task?.attempts).toBe(asked.length);
  expect(asked.length).toBeGreaterThan(1);
  for (const [n, { at: time }] of asked.slice(1).entries()) {
    expect(time.getTime() - (asked[n]?.at.getTime() ?? 0)).toBeGreaterThanOrEqual(seconds * 1000);
  }
});

test('a transfer that is cut off goes on behind what came, of the same version only', async () => {
  const key = 'cut.mp4';
  const bytes = put(key);
  const task = await bring(key, (times) => (times < 3 ? CUT : undefined));
  expect(task).toMatchObject({ status: 'READY', attempts: 1, video: { sha256: sha256(bytes) } });
  const etag = `"${transfersOf(key)[0]?.headers['if-match']?.replaceAll('"', '')}"`;
  const [first, ...others] = headersOf(key);
  expect(first).toEqual([null, etag]);
  expect(others).toHaveLength(2);
  let before = 0;
  for (const [range, ifMatch] of others) {
    expect(ifMatch).toBe(etag);
    const from = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1]);
    expect(from).toBeGreaterThan(before);
    before = from;
  }
  expect(transfersOf(key).map(({ status }) => status)).toEqual([200, 206, 206]);
});

test('a look that cannot be had decides nothing: the transfer does', async () => {
  const key = 'unseen.mp4';
  const bytes = put(key);
  const end = scripted(s3, (request) =>
    request.key === key && request.operation === 'GetObject' && !isTransfer(request)
      ? { status: 503, code: 'SlowDown' }
      : undefined,
  );
  const { tasks, failed } = await importer.bring(input(key));
  end();
  expect(failed.size).toBe(0);
  expect(at(tasks, key)).toMatchObject({ status: 'READY', video: { sha256: sha256(bytes) } });
});
