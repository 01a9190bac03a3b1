import { afterAll, beforeAll, expect, test } from 'vitest';
import { TEST_KEY } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { importOf, named } from './cancel-retry.ts';
import { sha256 } from './file-origin.ts';
import { createProducer, type ProductTask, statesOf } from './product-tasks.ts';
import { type ProvingGround, startProvingGround } from './proving-ground.ts';
import { type ScriptedWork, scriptWork } from './scripted-work.ts';
import { createTusClient, idOf, type TusClient } from './tus-client.ts';

let ground: ProvingGround;
let work: ScriptedWork;
let producer: ReturnType<typeof createProducer>;
let tus: TusClient;

beforeAll(async () => {
  work = scriptWork();
  ground = await startProvingGround({ work });
  producer = createProducer(ground.client);
  tus = createTusClient({ url: ground.url, key: TEST_KEY });
});

afterAll(() => ground?.stop());

const PRODUCTS = ['THUMBNAILS', 'STREAM', 'SCENES', 'FINGERPRINT', 'QUALITY', 'SCAN_TYPE'];
const all = (names: readonly string[], state: string) =>
  Object.fromEntries(names.map((name) => [name, state]));
const STAGES = ['UPLOAD', 'VALIDATION', ...PRODUCTS];

/** All that is made of a video is there, and served. */
async function expectMade(task: ProductTask, attempts: number): Promise<void> {
  expect(task).toMatchObject({
    status: 'READY',
    outcome: 'CREATED',
    attempts,
    error: null,
    progress: { fraction: 1 },
    hls: { status: 'COMPLETE' },
    video: { hls: { status: 'COMPLETE' }, scanType: 'PROGRESSIVE', quality: { overall: 4.25 } },
  });
  expect(statesOf(task)).toEqual(all(STAGES, 'DONE'));
  for (const { name, startedAt, finishedAt, error } of task.stages)
    expect({ name, startedAt, finishedAt, error }).toEqual({
      name,
      startedAt: expect.any(String),
      finishedAt: expect.any(String),
      error: null,
    });
  const { posterUrl, storyboardUrl, hls, scenes } = task.video ?? {};
  const urls = [
    posterUrl,
    storyboardUrl,
    hls?.videoUrl,
    ...(hls?.thumbnailUrls ?? []),
    scenes?.[0]?.thumbnailUrl,
  ];
  for (const url of urls) expect((await fetch(url ?? '')).status, url ?? 'no URL').toBe(200);
}

test('an import with full ingestion that is retried makes all products of what failed or was canceled, and of nothing else', () =>
  ground.prove(
    async () => {
      work.isAutomatic = false;
      const [right, wrong] = [ground.freshContent(), ground.freshContent()];
      const url = ground.origin.put({ bytes: wrong }, 'altered');
      const [good, canceled] = [0, 1].map(() => ground.origin.put({ bytes: ground.freshContent() }));
      const videos = [
        { externalId: 'good', fileName: 'good.mp4', url: good ?? '' },
        { externalId: 'altered', fileName: 'altered.mp4', url, sha256: sha256(right) },
        { externalId: 'canceled', fileName: 'canceled.mp4', url: canceled ?? '' },
      ];
      const { id } = await ground.canceler.startWith({
        from: { videos: { systemName: 'dam', videos } },
        fullIngestion: true,
      });
      const planned = await ground.canceler.until(id, ({ tasks }) => tasks.totalCount === 3);
      const idsOf = (name: string) => named(planned, name).id;
      const calls = [await work.next(), await work.next()];
      const ofGood = calls.find(({ options }) => options.path.includes(idsOf('good').slice('task_'.length)));
      const ofCanceled = calls.find((call) => call !== ofGood);
      ofGood?.fail('QUALITY', 'PROCESSING_CRASHED');
      await ofGood?.finish();
      await ofCanceled?.make('THUMBNAILS');
      await ground.canceler.cancelTask(idsOf('canceled'));
      expect(await ground.canceler.end(id)).toMatchObject({
        state: 'SUCCEEDED',
        counts: { ready: 1, failed: 1, canceled: 1 },
      });
      const before = await producer.look(idsOf('good'));
      expect(statesOf(before)).toEqual({ ...all(STAGES, 'DONE'), QUALITY: 'FAILED' });
      const failed = await producer.look(idsOf('altered'));
      expect(failed).toMatchObject({
        error: { code: 'CHECKSUM_MISMATCH' },
        hls: { status: 'ERROR' },
        video: null,
      });
      expect(statesOf(failed)).toMatchObject(all(PRODUCTS, 'SKIPPED'));

      ground.origin.put({ bytes: right }, 'altered');
      await waitFor(() => work.running() === 0, { what: 'the end of canceled work' });
      expect(importOf(await ground.canceler.retry(id))).toMatchObject({ state: 'STARTED', runs: 2 });
      const again = [await work.next(), await work.next()];
      for (const { options } of again) expect(options.products).toEqual(PRODUCTS);
      for (const name of ['altered', 'canceled']) {
        const task = await producer.look(idsOf(name));
        expect(task).toMatchObject({ status: 'INDEXING', error: null, hls: { status: 'PROCESSING' } });
        expect(statesOf(task)).toEqual({ ...all(PRODUCTS, 'WAITING'), UPLOAD: 'DONE', VALIDATION: 'DONE' });
      }
      for (const call of again) await call.finish();
      expect(await ground.canceler.end(id)).toMatchObject({
        state: 'SUCCEEDED',
        hasFailures: false,
        counts: { ready: 3, failed: 0, canceled: 0 },
      });
      for (const name of ['altered', 'canceled']) await expectMade(await producer.look(idsOf(name)), 2);
      // What had come in is left as it is, with what could not be made of it.
      expect(await producer.look(idsOf('good'))).toEqual({
        ...before,
        // URLs hold for a while only.
        video: expect.anything(),
        hls: expect.objectContaining({ status: 'COMPLETE' }),
      });
    },
    { isOneOfMany: true },
  ));

test('an upload is brought in with full ingestion, also when its media work is canceled and it is retried', () =>
  ground.prove(async () => {
    work.isAutomatic = false;
    const bytes = ground.freshContent();
    const path = await tus.begin(bytes.length, { filename: 'mine.mp4' });
    const task = await producer.create({ from: { uploadId: idOf(path) }, fullIngestion: true });
    ground.told('tasks', task.id);
    expect(task).toMatchObject({ status: 'PENDING', waitingFor: 'UPLOAD', hls: { status: 'PROCESSING' } });
    expect(task.stages.map(({ name }) => name)).toEqual(STAGES);
    for (const name of PRODUCTS) expect(statesOf(task)[name]).toBe('WAITING');
    expect((await tus.patch(path, 0, bytes)).status).toBe(204);
    const first = await work.next();
    expect(first.options).toMatchObject({ products: PRODUCTS, size: bytes.length });
    await first.make('STREAM');
    await producer.until(task.id, (now) => statesOf(now).STREAM === 'DONE');
    await ground.canceler.cancelTask(task.id);
    expect(await producer.end(task.id)).toMatchObject({
      status: 'CANCELED',
      hls: { status: 'CANCELED' },
      video: null,
    });
    await waitFor(() => work.running() === 0, { what: 'the end of canceled work' });

    // The bytes of an upload are there only once: they have stayed, and are worked on again.
    expect(await producer.retry(task.id)).toMatchObject({ __typename: 'RetryTaskSuccess' });
    const second = await work.next();
    await second.finish();
    const end = await producer.end(task.id);
    await expectMade(end, 2);
    expect(end.video?.sha256).toBe(sha256(bytes));
  }));
