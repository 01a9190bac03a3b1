import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeClips } from '../../src/demo/clips.ts';
import { answerFile, type Origin, startOrigin } from '../sources/origin.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { sha256 } from './file-origin.ts';
import { createImporter, type Importer, type ImportOptions, taskOf } from './url-imports.ts';

/** `times` counts the requests for the path from 0. */
type Answer = (request: IncomingMessage, response: ServerResponse, times: number) => void;

const routes = new Map<string, Answer>();
const clips = new Map<string, Buffer>();
let origin: Origin;
let server: TestServer;
let importer: Importer;

const clip = (name: string) => clips.get(name) ?? Buffer.alloc(0);
const serve =
  (name: string): Answer =>
  (request, response) =>
    answerFile(request, response, clip(name), { etag: `"${name}"` });

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-by-url-'));
  const paths = await makeClips(
    [
      { name: 'mp4' },
      { name: 'webm', container: 'webm', videoCodec: 'vp8', audioCodec: 'vorbis' },
      { name: 'mkv', container: 'mkv', audioCodec: null, seconds: 4 },
      { name: 'mov', container: 'mov', videoCodec: 'mpeg4', width: 480, height: 480 },
      { name: 'small', width: 320, height: 240 },
      { name: 'short', seconds: 2 },
    ],
    folder,
  );
  for (const [name, path] of paths) clips.set(name, await readFile(path));
  await rm(folder, { recursive: true });
  clips.set('half', clip('mp4').subarray(0, clip('mp4').length / 2));
  clips.set('text', Buffer.from('No video, whatever its name says.\n'.repeat(50)));
  const times = new Map<string, number>();
  origin = await startOrigin((request, response) => {
    const path = (request.url ?? '').slice(1);
    const before = times.get(path) ?? 0;
    times.set(path, before + 1);
    const answer = routes.get(path);
    if (answer) answer(request, response, before);
    else response.writeHead(404).end();
  });
  // Time enough for all ten at once on a busy machine.
  server = await startTestServer({ SLUICE_PLAN_SECONDS: '20' });
  importer = createImporter(server);
});

afterAll(async () => {
  await server?.stop();
  await origin?.close();
});

let imports = 0;
/** Each import is of a system of its own, so that none knows the pairs of another. */
function of(...paths: readonly string[]): ImportOptions {
  imports += 1;
  const videos = paths.map((path) => ({ externalId: path, url: `${origin.url.origin}/${path}` }));
  return { systemName: `dam-${imports}`, videos, incremental: false };
}

const RESOLUTION_TOO_LOW = {
  code: 'VIDEO_RESOLUTION_TOO_LOW',
  message:
    'The resolution of the video is too low. Please upload a video with resolution between 360x360 and 5184x2160. Current resolution is 320x240.',
  retryable: false,
  measured: '320x240',
  required: '360x360',
};

test('ten URLs: which will come in and which will not is said at once, and then they do', async () => {
  for (const name of ['mp4', 'webm', 'mkv', 'small', 'short', 'text', 'half']) routes.set(name, serve(name));
  routes.set('private', (_request, response) => response.writeHead(401).end());
  routes.set('busy', (request, response, times) =>
    times < 2 ? response.writeHead(503).end() : serve('mov')(request, response, times),
  );
  const accepted = ['mp4', 'busy', 'webm', 'mkv'];
  const rejected = ['small', 'short', 'text', 'half', 'missing', 'private'];
  const first = await importer.start(
    of('mp4', 'small', 'busy', 'short', 'webm', 'text', 'half', 'mkv', 'missing', 'private'),
  );

  expect(first).toMatchObject({
    hasFailures: true,
    error: null,
    counts: { found: 10, undecided: 0, rejected: 6 },
  });
  expect(first.tasks.nodes.map(({ externalId }) => externalId)).toEqual(accepted);
  const files = new Map(first.failedFiles.nodes.map((file) => [file.externalId, file]));
  expect([...files.keys()]).toEqual(rejected);
  expect(files.get('small')).toMatchObject({
    fileName: 'small.mp4',
    name: 'small.mp4',
    error: RESOLUTION_TOO_LOW,
  });
  expect(files.get('short')?.error).toEqual({
    code: 'VIDEO_DURATION_TOO_SHORT',
    message:
      'The video is too short. Please use a video with duration at least 4 seconds. Current duration is 2 seconds.',
    retryable: false,
    measured: '2 s',
    required: '4 s',
  });
  const others = ['text', 'half', 'missing', 'private'].map((name) => files.get(name)?.error);
  expect(others.map((error) => error?.code)).toEqual([
    'UNSUPPORTED_MEDIA_TYPE',
    'VIDEO_FILE_BROKEN',
    'SOURCE_NOT_FOUND',
    'SOURCE_NOT_AUTHORIZED',
  ]);
  for (const error of others) {
    expect(error).toMatchObject({ retryable: false, measured: null, required: null });
    expect(error?.message.length).toBeGreaterThan(20);
  }

  const last = await importer.end(first.id);
  expect(last).toMatchObject({
    state: 'SUCCEEDED',
    hasFailures: true,
    error: null,
    counts: { found: 10, rejected: 6, ready: 4 },
  });
  const sizes = ['mp4', 'mov', 'webm', 'mkv'].map((name) => clip(name).length);
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  expect(last.progress).toEqual({ fraction: 1, bytesDone: bytes, bytesTotal: bytes });
  expect(last.failedFiles).toEqual(first.failedFiles);
  for (const [at, task] of last.tasks.nodes.entries()) {
    expect(task).toMatchObject({ status: 'READY', outcome: 'CREATED', error: null, waitingFor: null });
    expect(task.progress).toEqual({ fraction: 1, bytesDone: sizes[at], bytesTotal: sizes[at] });
    expect(task.stages).toMatchObject([
      { name: 'UPLOAD', state: 'DONE', fraction: 1, error: null },
      { name: 'VALIDATION', state: 'DONE', fraction: 1, error: null },
    ]);
    const times = task.stages.flatMap(({ startedAt, finishedAt }) => [startedAt, finishedAt]);
    expect(times).toEqual([...times].sort());
    expect(times.every((time) => time !== null)).toBe(true);
  }
  // Refused once when it was looked at, once when it was transferred.
  expect(last.tasks.nodes.map(({ attempts }) => attempts)).toEqual([1, 2, 1, 1]);
  const found = last.tasks.nodes.map(({ systemMetadata }) => systemMetadata);
  const picture = { width: 640, height: 360, frameRate: 25, rotation: 0, hdr: false };
  const sized = (at: number) => ({ size: sizes[at], fileName: `${accepted[at]}.mp4` });
  expect(found).toMatchObject([
    { ...sized(0), ...picture, mimeType: 'video/mp4', videoCodec: 'h264', audioCodec: 'aac' },
    { ...sized(1), width: 480, height: 480, videoCodec: 'mpeg4', audioCodec: 'aac' },
    { ...sized(2), ...picture, mimeType: 'video/webm', videoCodec: 'vp8', audioCodec: 'vorbis' },
    { ...sized(3), ...picture, mimeType: 'video/x-matroska', videoCodec: 'h264', audioCodec: null },
  ]);
  expect(found.map((metadata) => metadata?.duration.toFixed(1))).toEqual(['5.0', '5.0', '5.0', '4.0']);
});

test('what came in is served again, whole and in parts', async () => {
  routes.set('served', serve('webm'));
  const { video } = taskOf(await importer.bring(of('served')), 'served');
  if (!video) throw new Error('there is no video');
  expect(video.sha256).toBe(sha256(clip('webm')));
  const whole = await fetch(video.originalUrl);
  expect(whole.status).toBe(200);
  expect(sha256(await whole.bytes())).toBe(video.sha256);
  const part = await fetch(video.originalUrl, { headers: { range: 'bytes=1000-1999' } });
  expect(part.status).toBe(206);
  expect(part.headers.get('content-range')).toBe(`bytes 1000-1999/${clip('webm').length}`);
  expect(await part.bytes()).toEqual(new Uint8Array(clip('webm').subarray(1000, 2000)));
});

test('an import of which nothing comes in ends FAILED, and says so', async () => {
  const state = await importer.start(of('nothing-here', 'nothing-there'));
  expect(state).toMatchObject({
    state: 'FAILED',
    hasFailures: true,
    error: {
      code: 'NOTHING_CAME_IN',
      message: 'None of the 2 videos came in: 2 were rejected and 0 failed. Each says why.',
    },
    counts: { found: 2, rejected: 2 },
    progress: { fraction: 0, bytesDone: 0, bytesTotal: 0 },
    tasks: { nodes: [] },
  });
});

test('planning that takes longer than its time answers PLANNING, and goes on in a worker while transfers run', async () => {
  const released = new AbortController();
  routes.set('quick', serve('mov'));
  routes.set('slow', (request, response, times) => {
    const answer = () => serve('webm')(request, response, times);
    if (released.signal.aborted) answer();
    else released.signal.addEventListener('abort', answer);
  });
  const slow = await startTestServer({ SLUICE_PLAN_SECONDS: '2' });
  const slowly = createImporter(slow);
  try {
    const began = performance.now();
    const first = await slowly.start(of('quick', 'slow'));
    // Without a time of its own it would wait for half a minute.
    expect(performance.now() - began).toBeLessThan(15_000);
    expect(first).toMatchObject({ state: 'PLANNING', startedAt: null, counts: { found: 2 } });
    const early = await slowly.until(first.id, ({ counts }) => counts.ready === 1);
    expect(early).toMatchObject({ state: 'PLANNING', finished: false, counts: { undecided: 1 } });
    expect(taskOf(early, 'quick').status).toBe('READY');
    released.abort();
    const last = await slowly.end(first.id);
    expect(last).toMatchObject({
      state: 'SUCCEEDED',
      hasFailures: false,
      counts: { undecided: 0, ready: 2 },
    });
    expect(last.tasks.nodes.map(({ externalId }) => externalId)).toEqual(['quick', 'slow']);
  } finally {
    released.abort();
    await slow.stop();
  }
});
