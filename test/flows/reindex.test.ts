import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { finishDeletions } from '../support/oracle/deletions.ts';
import { objectsIn } from '../support/oracle/objects.ts';
import { waitFor } from '../support/wait.ts';
import { createDeleter } from './deletions.ts';
import { createProducer, statesOf } from './product-tasks.ts';
import { type ProvingGround, startProvingGround } from './proving-ground.ts';
import { type ScriptedWork, scriptWork } from './scripted-work.ts';

let ground: ProvingGround;
let work: ScriptedWork;
let producer: ReturnType<typeof createProducer>;
let systems = 0;

beforeAll(async () => {
  work = scriptWork();
  ground = await startProvingGround({ servers: 2, work });
  producer = createProducer(ground.client);
});

afterAll(() => ground?.stop());

/** The last one sees what is left in the end, of all before it. */
const proof =
  (run: () => Promise<void>, { isLast = false } = {}) =>
  async () => {
    work.isAutomatic = true;
    await ground.prove(run, { isOneOfMany: !isLast });
  };

const put = () => ground.origin.put({ bytes: ground.freshContent() });

/** A video that is there, with nothing made of it. */
async function plainVideo(): Promise<string> {
  const task = await producer.end((await producer.create({ from: { url: put() } })).id);
  return task.videoId;
}

/** The task and the claim that wrote a file, by its URL: its token names them, beside a time that is another one every ten minutes. */
function runOf(url: string | null | undefined): string {
  const token = Buffer.from(new URL(url ?? '').pathname.split('/')[2] ?? '', 'base64url');
  return Buffer.concat([token.subarray(32, 48), token.subarray(54, 62)]).toString('hex');
}

test(
  'a video that is there is analyzed by a task of its own, which begins where others are stored',
  proof(async () => {
    const id = await plainVideo();
    const before = await producer.video(id);
    expect(before).toMatchObject({ hls: null, scenes: null });
    work.isAutomatic = false;
    const task = await producer.reindex(id);
    expect(task).toMatchObject({ videoId: id, import: null, hls: { status: 'PROCESSING' } });
    expect(['QUEUED', 'INDEXING']).toContain(task.status);
    expect(task.stages.map(({ name }) => name)).toEqual([
      'THUMBNAILS',
      'STREAM',
      'SCENES',
      'FINGERPRINT',
      'QUALITY',
      'SCAN_TYPE',
    ]);
    const following = producer.follow(task.id);
    await (await work.next()).finish();
    const end = (await following).at(-1);
    expect(end).toMatchObject({
      status: 'READY',
      outcome: 'UPDATED',
      attempts: 1,
      progress: { fraction: 1 },
    });
    expect(end?.video).toMatchObject({
      id,
      sha256: before?.sha256,
      hls: { status: 'COMPLETE' },
      scanType: 'PROGRESSIVE',
    });
  }),
);

test(
  'what is made anew takes the place of what was there, and what is not stays',
  proof(async () => {
    const id = await plainVideo();
    await producer.end((await producer.reindex(id)).id);
    const before = await producer.video(id);
    const stream = await producer.reindex(id, { fullIngestion: false, enableVideoStream: true });
    expect(stream.stages.map(({ name }) => name)).toEqual(['STREAM']);
    await producer.end(stream.id);
    const after = await producer.video(id);
    expect(runOf(after?.hls?.videoUrl)).not.toBe(runOf(before?.hls?.videoUrl));
    expect(after).toMatchObject({ quality: before?.quality, scenes: before?.scenes });
    expect(runOf(after?.posterUrl)).toBe(runOf(before?.posterUrl));
    // One that cannot be made leaves what there is.
    work.isAutomatic = false;
    const failing = await producer.reindex(id, { fullIngestion: false, enableVideoStream: true });
    const call = await work.next();
    call.fail('STREAM');
    call.end();
    expect(await producer.end(failing.id)).toMatchObject({ status: 'READY', hls: { status: 'ERROR' } });
    const { hls } = (await producer.video(id)) ?? {};
    expect(hls).toMatchObject({ status: 'COMPLETE', updatedAt: after?.hls?.updatedAt });
    expect(runOf(hls?.videoUrl)).toBe(runOf(after?.hls?.videoUrl));
    expect(hls?.thumbnailUrls.map(runOf)).toEqual(after?.hls?.thumbnailUrls.map(runOf));
  }),
);

test(
  'a canceled one leaves the video as it was, and runs again when it is retried',
  proof(async () => {
    const id = await plainVideo();
    work.isAutomatic = false;
    const task = await producer.reindex(id);
    const call = await work.next();
    await call.make('STREAM');
    expect((await producer.video(id))?.hls).toMatchObject({ status: 'PROCESSING' });
    await ground.canceler.cancelTask(task.id);
    await waitFor(() => call.options.signal.aborted, { what: 'the end of the work' });
    expect(await producer.look(task.id)).toMatchObject({
      status: 'CANCELED',
      hls: { status: 'CANCELED' },
      video: { id },
    });
    expect((await producer.video(id))?.hls).toMatchObject({ status: 'CANCELED', videoUrl: null });
    work.isAutomatic = true;
    expect(await producer.retry(task.id)).toMatchObject({ __typename: 'RetryTaskSuccess' });
    const end = await producer.end(task.id);
    expect(end).toMatchObject({
      status: 'READY',
      outcome: 'UPDATED',
      attempts: 2,
      video: { hls: { status: 'COMPLETE' } },
    });
  }),
);

test(
  'two at once of the same video both end well, and one of them is what is there',
  proof(async () => {
    const id = await plainVideo();
    const tasks = await Promise.all([producer.reindex(id), producer.reindex(id)]);
    for (const { id: taskId } of tasks)
      expect(await producer.end(taskId)).toMatchObject({
        status: 'READY',
        video: { hls: { status: 'COMPLETE' } },
      });
    const video = await producer.video(id);
    expect(runOf(video?.hls?.videoUrl)).toBe(runOf(video?.posterUrl));
  }),
);

test(
  'a version that comes in meanwhile is not given what was made of the one before',
  proof(async () => {
    systems += 1;
    const [systemName, externalId] = [`reindexed-${systems}`, 'a'];
    const bring = async (url: string) => {
      const { id } = await ground.canceler.start({ systemName, videos: [{ externalId, url }] });
      return await ground.canceler.end(id);
    };
    const first = await bring(put());
    const id = first.tasks.nodes[0]?.videoId ?? '';
    work.isAutomatic = false;
    const task = await producer.reindex(id);
    const call = await work.next();
    await call.make('SCENES');
    await bring(put());
    await call.finish();
    expect(await producer.end(task.id)).toMatchObject({
      status: 'SKIPPED',
      skipReason: 'SUPERSEDED',
      hls: null,
    });
    expect(await producer.video(id)).toMatchObject({ hls: null, scenes: null, posterUrl: null });
  }),
);

test(
  'a worker that was presumed dead publishes nothing; the next attempt does',
  proof(async () => {
    const id = await plainVideo();
    work.isAutomatic = false;
    const task = await producer.reindex(id);
    const first = await work.next();
    await first.make('THUMBNAILS');
    const { claim } = await ground.rows.one<{ claim: string }>(
      'select claim from jobs where subject_id = $1',
      [task.id.slice(5)],
    );
    // More than once: its heartbeat may come between the lapse and the sweep.
    const lapse = () =>
      ground.rows.all(
        `update jobs set lease_until = now() - interval '1 hour' where claim = $1 and owner is not null`,
        [claim],
      );
    const second = await work.next(lapse);
    await first.finish();
    await second.finish();
    const end = await producer.end(task.id);
    expect(end).toMatchObject({ status: 'READY', attempts: 2, video: { hls: { status: 'COMPLETE' } } });
    expect(statesOf(end)).toMatchObject({ THUMBNAILS: 'DONE', STREAM: 'DONE' });
  }),
);

test(
  'a video that goes with the task that was making it takes along who would index it again, begun or not',
  proof(async () => {
    work.isAutomatic = false;
    const maker = await producer.create({ from: { url: put() }, fullIngestion: true });
    await work.next();
    const running = await producer.reindex(maker.videoId);
    const call = await work.next();
    await call.make('STREAM');
    await ground.rows.all(`create function be_late() returns trigger language plpgsql as $$
      begin new.run_at := now() + interval '1 hour'; return new; end $$`);
    await ground.rows.all(`create trigger be_late before insert on jobs for each row
      when (new.kind = 'process-video') execute function be_late()`);
    const waiting = await producer.reindex(maker.videoId);
    await ground.rows.all('drop function be_late cascade');
    await ground.canceler.cancelTask(maker.id);
    await ground.rows.all('update jobs set run_at = now() where subject_id = $1', [waiting.id.slice(5)]);
    await call.finish();
    for (const { id } of [running, waiting])
      expect(await producer.end(id)).toMatchObject({
        status: 'CANCELED',
        outcome: 'CANCELED',
        error: null,
        video: null,
        hls: { status: 'CANCELED' },
      });
  }),
);

test('what asks for nothing is refused, and so is a video that is not there', async () => {
  const id = await plainVideo();
  expect(await producer.askReindex({ id, fullIngestion: false })).toMatchObject({
    __typename: 'InvalidInputError',
    issues: [{ path: ['input', 'fullIngestion'], code: 'INVALID' }],
  });
  const missing = 'vid_00000000-0000-7000-8000-000000000000';
  expect(await producer.askReindex({ id: missing, fullIngestion: false })).toMatchObject({
    __typename: 'NotFoundError',
    path: ['input', 'id'],
  });
});

test('analyzers of the index are what full ingestion runs, and settings of it what they are made by', async () => {
  const [index] = await ground.rows.all<{ id: string }>('select id from indexes where is_default');
  onTestFinished(async () => {
    await ground.rows.all(`update indexes set analyzers = default, ladder = null, picture_format = null`);
  });
  await ground.rows.all(
    `update indexes set analyzers = '{QUALITY}', ladder = '{720,360}', picture_format = 'webp' where id = $1`,
    [index?.id],
  );
  const id = await plainVideo();
  work.isAutomatic = false;
  const task = await producer.reindex(id);
  const call = await work.next();
  expect(call.options).toMatchObject({
    products: ['STREAM', 'QUALITY'],
    settings: { ladder: [720, 360], pictureFormat: 'webp' },
  });
  await call.finish();
  work.isAutomatic = true;
  expect((await producer.end(task.id)).stages.map(({ name }) => name)).toEqual(['STREAM', 'QUALITY']);
});

test(
  'a video with products takes them with it, and its tasks that failed cannot be tried again',
  proof(
    async () => {
      const id = await plainVideo();
      const made = await producer.end((await producer.reindex(id)).id);
      work.isAutomatic = false;
      const open = await producer.reindex(id);
      const call = await work.next();
      await call.make('STREAM');
      await createDeleter(ground.client, ground.told).deleteVideo(id);
      expect(await producer.end(open.id)).toMatchObject({ status: 'CANCELED', video: null });
      expect(await producer.retry(open.id)).toMatchObject({
        __typename: 'TaskCannotBeRetriedError',
        message: expect.stringContaining('is gone'),
      });
      await waitFor(() => work.running() === 0);
      await finishDeletions(ground.databaseUrl);
      const keys = await objectsIn(ground.storage).list();
      const ofTasks = [made, open].map((task) => `/tasks/${task.id.slice('task_'.length)}/`);
      expect(keys.filter((key) => ofTasks.some((part) => key.includes(part)))).toEqual([]);
    },
    { isLast: true },
  ),
);
