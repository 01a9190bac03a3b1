import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeClips } from '../../src/demo/clips.ts';
import { answerFile, type Origin, startOrigin } from '../sources/origin.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { isLook, sha256 } from './file-origin.ts';
import { createImporter, type Importer, one, taskOf } from './url-imports.ts';

let clip: Buffer;
let small: Buffer;
let origin: Origin;
let server: TestServer;
let importer: Importer;
/** Answers a transfer; `times` counts those of the test, from 1. Who looks ahead is always answered well. */
let transfer: (request: IncomingMessage, response: ServerResponse, times: number) => void = () => {};

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-transfers-'));
  const paths = await makeClips(
    [
      { name: 'clip', bitrate: 1_600_000 },
      { name: 'small', width: 320, height: 240 },
    ],
    folder,
  );
  clip = await readFile(paths.get('clip') ?? '');
  small = await readFile(paths.get('small') ?? '');
  await rm(folder, { recursive: true });
  origin = await startOrigin((request, response) => {
    if (isLook(request)) answerWell(request, response);
    else transfer(request, response, transfers().length);
  });
  server = await startTestServer({ SLUICE_PLAN_SECONDS: '20' });
  importer = createImporter(server);
});

afterAll(async () => {
  await server?.stop();
  await origin?.close();
});

const answerWell = (request: IncomingMessage, response: ServerResponse) =>
  answerFile(request, response, clip, { etag: '"clip"' });
const transfers = () => origin.requests.filter((request) => !isLook(request));
const importOf = (systemName: string) =>
  one(systemName, { url: `${origin.url.origin}/${systemName}` }, { incremental: false });

test('a transfer that is cut goes on at its byte, within an attempt and in the next one', async () => {
  origin.requests.length = 0;
  transfer = (request, response, times) => {
    if (times === 2) response.writeHead(503).end();
    else if (times === 4) answerWell(request, response);
    else answerFile(request, response, clip, { etag: '"clip"', cutAfter: 300_000 });
  };
  const task = taskOf(await importer.bring(importOf('cut')), 'one');
  expect(task).toMatchObject({ status: 'READY', attempts: 2, video: { sha256: sha256(clip) } });
  const seen = transfers().map(({ headers }) => [headers.range, headers['if-range']]);
  expect(seen).toEqual([
    [undefined, undefined],
    ['bytes=300000-', '"clip"'],
    ['bytes=300000-', '"clip"'],
    ['bytes=600000-', '"clip"'],
  ]);
});

test('a file that was replaced while its transfer was cut is taken from its beginning', async () => {
  origin.requests.length = 0;
  const other = Buffer.from(clip);
  other.writeUInt8(7, clip.indexOf('mdat') + 5_000);
  transfer = (request, response, times) =>
    times === 1
      ? answerFile(request, response, other, { etag: '"other"', cutAfter: 300_000 })
      : answerWell(request, response);
  const task = taskOf(await importer.bring(importOf('replaced')), 'one');
  expect(task).toMatchObject({ status: 'READY', attempts: 1, video: { sha256: sha256(clip) } });
  expect(transfers().map(({ headers }) => headers['if-range'])).toEqual([undefined, '"other"']);
});

test('a transfer is tried again no earlier than Retry-After says', async () => {
  origin.requests.length = 0;
  const asked: number[] = [];
  transfer = (request, response) => {
    if (asked.push(Date.now()) === 1) response.writeHead(429, { 'retry-after': '4' }).end();
    else answerWell(request, response);
  };
  const { id } = await importer.start(importOf('later'));
  const waits = await importer.until(id, (state) => taskOf(state, 'one').waitingFor === 'RETRY');
  const waiting = taskOf(waits, 'one');
  expect(waiting).toMatchObject({
    status: 'PENDING',
    outcome: null,
    attempts: 1,
    error: { code: 'SOURCE_UNAVAILABLE', retryable: true },
  });
  expect(taskOf(await importer.end(id), 'one')).toMatchObject({ status: 'READY', attempts: 2, error: null });
  const [first = 0, second = 0] = asked;
  expect(second - first).toBeGreaterThanOrEqual(3_990);
  expect(Date.parse(waiting.nextAttemptAt ?? '') - first).toBeGreaterThanOrEqual(3_990);
});

test('an origin without Range and Content-Length: judged after the transfer, with the same code', async () => {
  const streaming = await startOrigin((request, response) => {
    response.flushHeaders();
    response.end(request.url === '/small' ? small : clip);
  });
  const videos = ['clip', 'small'].map((name) => ({
    externalId: name,
    url: `${streaming.url.origin}/${name}`,
  }));
  const first = await importer.start({ systemName: 'streamed', videos, incremental: false });
  expect(first.failedFiles.nodes).toEqual([]);
  const last = await importer.end(first.id);
  expect(last).toMatchObject({ state: 'SUCCEEDED', hasFailures: true, counts: { ready: 1, failed: 1 } });
  expect(taskOf(last, 'clip')).toMatchObject({
    status: 'READY',
    progress: { bytesDone: clip.length, bytesTotal: clip.length },
    systemMetadata: { size: clip.length, width: 640 },
    video: { sha256: sha256(clip) },
  });
  const code = 'VIDEO_RESOLUTION_TOO_LOW';
  expect(taskOf(last, 'small')).toMatchObject({
    status: 'FAILED',
    outcome: 'FAILED',
    attempts: 1,
    error: { code, retryable: false, measured: '320x240', required: '360x360' },
    stages: [{ state: 'DONE' }, { name: 'VALIDATION', state: 'FAILED', error: { code } }],
    video: null,
  });
  await streaming.close();
});
