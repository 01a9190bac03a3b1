import { afterAll, beforeAll, expect, test } from 'vitest';
import { StorageFullError } from '../../src/storage/adapter.ts';
import { waitFor } from '../support/wait.ts';
import { createDeleter } from './deletions.ts';
import { createProducer, type ProductTask, statesOf } from './product-tasks.ts';
import { type ProvingGround, startProvingGround } from './proving-ground.ts';
import { type ScriptedWork, scriptWork } from './scripted-work.ts';

/** The name of a video whose media work is tried once. */
const LAST_TRY = 'Last try';

let ground: ProvingGround;
let work: ScriptedWork;
let producer: ReturnType<typeof createProducer>;

beforeAll(async () => {
  work = scriptWork();
  // What waits does so until it has been seen, for a retry and for room.
  const settings = { SLUICE_RETRY_BASE_SECONDS: '600', SLUICE_STORAGE_FULL_SECONDS: '600' };
  ground = await startProvingGround({ work, settings });
  producer = createProducer(ground.client);
  await ground.rows.all(`create function last_try() returns trigger language plpgsql as $$
    begin
      if exists (select from tasks where id = new.subject_id and name = '${LAST_TRY}') then new.failures := 7; end if;
      return new;
    end $$`);
  await ground.rows.all(`create trigger last_try before insert on jobs for each row
    when (new.kind = 'process-video') execute function last_try()`);
});

afterAll(() => ground?.stop());

/** The last one sees what is left in the end, of all of them. */
const proof =
  (run: () => Promise<void>, { isLast = false } = {}) =>
  async () => {
    work.isAutomatic = true;
    await ground.prove(run, { isOneOfMany: !isLast });
  };

const from = () => ({ url: ground.origin.put({ bytes: ground.freshContent() }) });
const PRODUCTS = ['THUMBNAILS', 'STREAM', 'SCENES', 'FINGERPRINT', 'QUALITY', 'SCAN_TYPE'];
const STAGES = ['UPLOAD', 'VALIDATION', ...PRODUCTS];
const all = (names: readonly string[], state: string) =>
  Object.fromEntries(names.map((name) => [name, state]));

const fractionOf = ({ stages }: ProductTask, stage: string) =>
  stages.find(({ name }) => name === stage)?.fraction;

function expectForward(states: readonly ProductTask[]): void {
  for (const [at, state] of states.entries()) {
    const before = states[at - 1];
    if (!before || before.attempts !== state.attempts) continue;
    expect(state.progress.fraction).toBeGreaterThanOrEqual(before.progress.fraction);
    for (const [place, stage] of state.stages.entries())
      expect(stage.fraction, stage.name).toBeGreaterThanOrEqual(before.stages[place]?.fraction ?? 0);
  }
}

test(
  'full ingestion makes all products at once, shows each while it runs, and publishes them with READY',
  proof(async () => {
    work.isAutomatic = false;
    const task = await producer.create({ from: from(), fullIngestion: true });
    expect(task.stages.map(({ name }) => name)).toEqual(STAGES);
    expect(task.hls).toMatchObject({ status: 'PROCESSING', videoUrl: null, thumbnailUrls: [] });
    const following = producer.follow(task.id);
    const call = await work.next();
    expect(call.options).toMatchObject({
      products: PRODUCTS,
      settings: { pictureFormat: 'jpeg', ladder: [] },
    });
    expect(call.options.duration).toBeGreaterThanOrEqual(4);
    call.progress('STREAM', 0.25);
    call.progress('SCENES', 0.5);
    // Figures and states are told in different ways.
    const running = await producer.until(
      task.id,
      (now) =>
        fractionOf(now, 'SCENES') === 0.5 &&
        fractionOf(now, 'STREAM') === 0.25 &&
        statesOf(now).STREAM === 'RUNNING',
    );
    expect(running).toMatchObject({ status: 'INDEXING', hls: { status: 'PROCESSING' } });
    expect(running.stages.find(({ name }) => name === 'STREAM')).toMatchObject({
      state: 'RUNNING',
      fraction: 0.25,
    });
    expect(running.video).toMatchObject({
      hls: { status: 'PROCESSING' },
      posterUrl: null,
      scenes: null,
      indexedAt: null,
    });
    await call.make('SCENES');
    const half = await producer.until(task.id, (now) => statesOf(now).SCENES === 'DONE');
    expect(half.progress.fraction).toBeGreaterThan(running.progress.fraction);
    expect(half.video?.scenes).toBeNull();
    await call.finish();
    const states = await following;
    expectForward(states);
    const end = states.at(-1);
    expect(end).toMatchObject({
      status: 'READY',
      outcome: 'CREATED',
      attempts: 1,
      progress: { fraction: 1 },
    });
    expect(end && statesOf(end)).toEqual(all(STAGES, 'DONE'));
    for (const stage of end?.stages ?? [])
      expect(stage).toMatchObject({ fraction: 1, startedAt: expect.any(String) });
    expect(end?.video).toMatchObject({
      scanType: 'PROGRESSIVE',
      quality: { overall: 4.25, metrics: [{ name: 'blur' }] },
      hls: { status: 'COMPLETE', videoUrl: expect.stringContaining('/stream/main.m3u8') },
      posterUrl: expect.stringContaining('/pictures/poster.jpg'),
      storyboardUrl: expect.stringContaining('/pictures/storyboard.vtt'),
      scenes: [
        { start: 0, end: 2.5, thumbnailUrl: expect.stringContaining('/scenes/0001.jpg') },
        { start: 2.5, end: 5, thumbnailUrl: null },
      ],
    });
    expect(end?.video?.hls?.thumbnailUrls).toHaveLength(2);
    expect(end?.hls).toMatchObject({ status: 'COMPLETE', videoUrl: end?.video?.hls?.videoUrl });
  }),
);

test(
  'only HLS is made where only that was asked for, and nothing where nothing was',
  proof(async () => {
    const stream = await producer.create({ from: from(), enableVideoStream: true });
    const plain = await producer.create({ from: from() });
    expect(await producer.end(stream.id)).toMatchObject({
      stages: [{}, {}, { name: 'STREAM', state: 'DONE' }],
      hls: { status: 'COMPLETE', thumbnailUrls: [] },
      video: { posterUrl: null, quality: null, scenes: null, scanType: null },
    });
    const end = await producer.end(plain.id);
    expect(end).toMatchObject({ status: 'READY', hls: null, video: { hls: null } });
    expect(end.stages).toHaveLength(2);
  }),
);

test(
  'a product that cannot be made fails its stage and nothing else',
  proof(async () => {
    work.isAutomatic = false;
    const task = await producer.create({ from: from(), fullIngestion: true });
    const call = await work.next();
    call.progress('STREAM', 0.25);
    call.fail('STREAM', 'UNSUPPORTED_MEDIA_TYPE');
    call.fail('QUALITY', 'PROCESSING_CRASHED');
    await call.finish();
    const end = await producer.end(task.id);
    expect(end).toMatchObject({
      status: 'READY',
      outcome: 'CREATED',
      error: null,
      hls: { status: 'ERROR', videoUrl: null },
    });
    expect(statesOf(end)).toEqual({ ...all(STAGES, 'DONE'), STREAM: 'FAILED', QUALITY: 'FAILED' });
    const [stream, quality] = ['STREAM', 'QUALITY'].map((name) =>
      end.stages.find((stage) => stage.name === name),
    );
    expect(stream?.fraction).toBe(0.25);
    expect(stream?.error).toEqual({
      code: 'UNSUPPORTED_MEDIA_TYPE',
      message: 'STREAM could not be made.',
      retryable: false,
    });
    expect(quality?.error).toMatchObject({ code: 'PROCESSING_CRASHED', retryable: true });
    expect(end.video).toMatchObject({ hls: { status: 'ERROR' }, quality: null, scanType: 'PROGRESSIVE' });
  }),
);

test(
  'a canceled task stops its media work at once and leaves nothing',
  proof(async () => {
    work.isAutomatic = false;
    const task = await producer.create({ from: from(), fullIngestion: true });
    const call = await work.next();
    await call.make('THUMBNAILS');
    call.progress('STREAM', 0.5);
    await producer.until(
      task.id,
      (now) =>
        statesOf(now).THUMBNAILS === 'DONE' &&
        statesOf(now).STREAM === 'RUNNING' &&
        fractionOf(now, 'STREAM') === 0.5,
    );
    const following = producer.follow(task.id);
    await ground.canceler.cancelTask(task.id);
    expectForward(await following);
    const canceled = await producer.look(task.id);
    expect(canceled).toMatchObject({ status: 'CANCELED', video: null, hls: { status: 'CANCELED' } });
    expect(statesOf(canceled)).toMatchObject({ STREAM: 'CANCELED', SCENES: 'SKIPPED' });
    expect(canceled.progress.fraction).toBeLessThan(1);
    expect(['THUMBNAILS', 'STREAM', 'SCENES'].map((name) => fractionOf(canceled, name))).toEqual([1, 0.5, 0]);
    await waitFor(() => call.options.signal.aborted, { what: 'the end of the work' });
    await waitFor(() => work.running() === 0);
    // The same task, once more: as good as new.
    work.isAutomatic = true;
    await producer.retry(task.id);
    expect(await producer.end(task.id)).toMatchObject({
      status: 'READY',
      attempts: 2,
      hls: { status: 'COMPLETE' },
    });
  }),
);

test(
  'deleting the video of a task stops its media work, too',
  proof(async () => {
    work.isAutomatic = false;
    const task = await producer.create({ from: from(), fullIngestion: true });
    const call = await work.next();
    await call.make('STREAM');
    expect(await createDeleter(ground.client).deleteVideo(task.videoId)).toMatchObject({
      __typename: 'DeleteVideoSuccess',
    });
    await waitFor(() => call.options.signal.aborted, { what: 'the end of the work' });
    expect(await producer.end(task.id)).toMatchObject({ status: 'CANCELED', video: null });
    await waitFor(() => work.running() === 0);
  }),
);

test(
  'what goes wrong beside the file is tried again, from the beginning; a full storage is waited for',
  proof(async () => {
    work.isAutomatic = false;
    const task = await producer.create({ from: from(), fullIngestion: true });
    const first = await work.next();
    await first.make('THUMBNAILS');
    first.reject(new Error('no child could be started'));
    const waiting = await producer.until(task.id, ({ waitingFor }) => waitingFor === 'RETRY');
    expect(statesOf(waiting)).toEqual({ ...all(PRODUCTS, 'WAITING'), UPLOAD: 'DONE', VALIDATION: 'DONE' });
    await ground.release(task.id);
    const second = await work.next();
    second.reject(new StorageFullError());
    await producer.until(task.id, ({ waitingFor }) => waitingFor === 'STORAGE');
    await ground.release(task.id);
    const third = await work.next();
    expect(third.options.products).toEqual(PRODUCTS);
    await third.finish();
    expect(await producer.end(task.id)).toMatchObject({ status: 'READY', attempts: 3, error: null });
  }),
);

test(
  'a video comes in whose products cannot be made for a fault of the server, and indexing it again makes them',
  proof(
    async () => {
      work.isAutomatic = false;
      const task = await producer.create({ from: from(), name: LAST_TRY, fullIngestion: true });
      const call = await work.next();
      await call.make('SCENES');
      call.progress('STREAM', 0.25);
      await producer.until(task.id, (now) => fractionOf(now, 'STREAM') === 0.25);
      call.reject(new Error('no child could be started'));
      const end = await producer.end(task.id);
      expect(fractionOf(end, 'STREAM')).toBe(0.25);
      expect(end).toMatchObject({ status: 'READY', outcome: 'CREATED', hls: { status: 'ERROR' } });
      expect(statesOf(end)).toEqual({ ...all(PRODUCTS, 'FAILED'), UPLOAD: 'DONE', VALIDATION: 'DONE' });
      expect(end.stages.at(-1)?.error).toMatchObject({ code: 'INTERNAL', retryable: true });
      expect(end.video?.indexedAt).not.toBeNull();
      work.isAutomatic = true;
      const again = await producer.reindex(task.videoId);
      expect(await producer.end(again.id)).toMatchObject({
        status: 'READY',
        video: { hls: { status: 'COMPLETE' } },
      });
    },
    { isLast: true },
  ),
);
