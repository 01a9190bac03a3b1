import { afterAll, beforeAll, expect, test } from 'vitest';
import { named, taskOf } from './cancel-retry.ts';
import { type ProvingGround, startProvingGround } from './proving-ground.ts';
import { keepStuckTasks, stuckIn } from './stuck-tasks.ts';

let ground: ProvingGround;
let letGo: () => Promise<void>;
let versions = 0;

beforeAll(async () => {
  ground = await startProvingGround();
  letGo = await keepStuckTasks(ground.rows);
});

afterAll(() => ground?.stop());

const proof = (work: () => Promise<void>) => () => ground.prove(work);

/** A file at the origin; under a name, in the place of the one that was there. */
function put(bytes = ground.freshContent(), name?: string): string {
  versions += 1;
  return ground.origin.put({ bytes, etag: `"v${versions}"` }, name);
}

test(
  'who waits for a content goes on when all who were bringing it in are canceled, one after the other',
  proof(async () => {
    const { canceler } = ground;
    const bytes = ground.freshContent();
    const indexing = async (systemName: string, incremental: boolean) => {
      const videos = [{ externalId: 'v', url: put(bytes), name: stuckIn('INDEXING') }];
      const { id } = await canceler.start({ systemName, incremental, videos });
      await canceler.until(id, ({ tasks }) => tasks.nodes[0]?.status === 'INDEXING');
      return id;
    };
    const holder = await indexing('holder', true);
    const heir = await indexing('heir', false);
    const waiting = await canceler.start({
      systemName: 'waiting',
      videos: [{ externalId: 'v', url: put(bytes) }],
    });
    await canceler.until(waiting.id, ({ tasks }) => tasks.nodes[0]?.waitingFor === 'SAME_CONTENT');
    await canceler.cancel(holder);
    await canceler.cancel(heir);
    const end = await canceler.end(waiting.id);
    expect(named(end, 'v')).toMatchObject({ status: 'READY', outcome: 'CREATED', video: { name: 'v.mp4' } });
  }),
);

// The oracle, which comes after all planned deletions, sees whether the bytes of each video are there.
test(
  'an update that was canceled in place and is tried again keeps the bytes that its video has',
  proof(async () => {
    const { canceler } = ground;
    const first = await canceler.start({ systemName: 'kept', videos: [{ externalId: 'v', url: put() }] });
    await canceler.end(first.id);
    const update = await canceler.start({
      systemName: 'kept',
      videos: [{ externalId: 'v', url: put(), name: stuckIn('INDEXING') }],
    });
    const stuck = await canceler.until(update.id, ({ tasks }) => tasks.nodes[0]?.status === 'INDEXING');
    const { id } = named(stuck, 'v');
    await canceler.cancelTask(id);
    expect(await canceler.end(update.id)).toMatchObject({ counts: { canceled: 1 } });
    await letGo();
    expect(taskOf(await canceler.retryTask(id))).toMatchObject({ outcome: null });
    const again = await canceler.end(update.id);
    expect(again).toMatchObject({ runs: 2, finished: true });
    // Its version was in place, and never indexed.
    const task = named(again, 'v');
    expect(task).toMatchObject({ status: 'READY', outcome: 'UPDATED' });
    expect(task.video?.indexedAt).not.toBeNull();
  }),
);
