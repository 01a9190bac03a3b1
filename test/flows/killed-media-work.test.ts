import { mkdtemp, readdir, readFile, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { makeClip } from '../../src/demo/clips.ts';
import { gone } from '../support/installation.ts';
import { finishDeletions } from '../support/oracle/deletions.ts';
import { objectsIn } from '../support/oracle/objects.ts';
import { checkOracle, installOracle } from '../support/oracle.ts';
import { descendantsOf, type KnownProcess } from '../support/process.ts';
import type { Rows } from '../support/rows.ts';
import { waitFor } from '../support/wait.ts';
import { createCanceler } from './cancel-retry.ts';
import { startFileOrigin } from './file-origin.ts';
import { createProducer, statesOf } from './product-tasks.ts';
import { createSite, type RoleProcess, type Site } from './roles-site.ts';

const DAY_MS = 24 * 3600 * 1000;
/** Files of products below the claim of a run; a claim is a number. */
const PRODUCTS = /^teams\/[^/]+\/tasks\/[^/]+\/(\d+)\/(?:pictures|stream)\//;

/** A video whose stream has to be encoded, which takes some seconds longer than all else of it. */
async function serveClip(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-killed-work-'));
  const path = join(folder, 'clip.mp4');
  await makeClip({ videoCodec: 'mpeg4', width: 1280, height: 720, seconds: 8 }, path);
  const origin = await startFileOrigin();
  onTestFinished(() => origin.close());
  const bytes = await readFile(path).finally(() => rm(folder, { recursive: true }));
  return origin.put({ bytes });
}

/** Kills a process as it stands. @returns what it had started */
async function kill(victim: RoleProcess): Promise<readonly KnownProcess[]> {
  process.kill(victim.pid, 'SIGSTOP');
  const children = await descendantsOf(victim.pid);
  await victim.end('SIGKILL');
  return children;
}

/** Whose claims have left products in a storage. */
const claimsWithProducts = async (storage: string) => [
  ...new Set((await objectsIn(storage).list()).flatMap((key) => PRODUCTS.exec(key)?.[1] ?? [])),
];

/** What is in use may go at any time. */
function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}

/** Has done what housekeeping would do a day later; work folders are as old by then. */
async function sweepADayLater(rows: Rows, storage: string): Promise<void> {
  const old = new Date(Date.now() - DAY_MS - 1000);
  for (const name of await readdir(join(storage, '.work')))
    await utimes(join(storage, '.work', name), old, old).catch(ignoreMissing);
  const isPlanned = `select from jobs where kind = 'sweep-storage' and run_at > now() + interval '1 hour'`;
  const planned = (what: string) => waitFor(async () => (await rows.all(isPlanned)).length === 1, { what });
  await planned('the plan of a sweep');
  await rows.all(`update jobs set run_at = now() where kind = 'sweep-storage'`);
  await planned('the sweep after this one');
}

async function startWork(site: Site) {
  const api = await site.start('api');
  const [canceler, producer] = [createCanceler(api.client), createProducer(api.client)];
  const first = await site.start('worker');
  const videos = [{ externalId: 'one', fileName: 'one.mp4', url: await serveClip() }];
  const input = { from: { videos: { systemName: 'dam', videos } }, fullIngestion: true };
  const { id } = await canceler.startWith(input);
  const task = await waitFor(async () => (await canceler.look(id)).tasks.nodes[0]?.id, { what: 'the task' });
  return { canceler, producer, first, id, task };
}

test('a worker that is killed in the middle of media work leaves it to the next one, which publishes it once', async () => {
  const site = await createSite({
    // A worker that is busy must not lose it.
    SLUICE_LEASE_SECONDS: '10',
    SLUICE_SWEEP_SECONDS: '0.5',
    SLUICE_HLS_LADDER: '480,360',
  });
  await installOracle(site.databaseUrl);
  const storage = fileURLToPath(site.settings.SLUICE_STORAGE_URL ?? '');
  const { canceler, producer, first, id, task } = await startWork(site);
  const half = await producer.until(task, (now) => {
    const { THUMBNAILS, STREAM } = statesOf(now);
    return [THUMBNAILS, STREAM].includes('DONE') && [THUMBNAILS, STREAM].includes('RUNNING');
  });
  const children = await kill(first);
  expect(half).toMatchObject({
    status: 'INDEXING',
    attempts: 1,
    video: { posterUrl: null, indexedAt: null },
  });
  // One is at work, at least.
  expect(children.length).toBeGreaterThan(0);
  await gone(children, 'the end of the children of the dead worker');
  const dead = await claimsWithProducts(storage);
  expect(dead).toHaveLength(1);
  expect(await readdir(join(storage, '.work'))).toHaveLength(1);

  await site.start('worker');
  const over = await canceler.end(id);
  expect(over).toMatchObject({ state: 'SUCCEEDED', hasFailures: false, counts: { ready: 1 } });
  const end = await producer.look(task);
  expect(end).toMatchObject({ status: 'READY', outcome: 'CREATED', attempts: 2, error: null });
  expect(Object.values(statesOf(end))).toEqual(Array(8).fill('DONE'));
  const { posterUrl, hls } = end.video ?? {};
  for (const url of [posterUrl, hls?.videoUrl, ...(hls?.thumbnailUrls ?? [])])
    expect((await fetch(url ?? '')).status, url ?? 'no URL').toBe(200);

  await finishDeletions(site.databaseUrl);
  await sweepADayLater(site.rows, storage);
  // The oracle finds what belongs to nothing, and what is missing.
  const accepted = { imports: [id], tasks: [task] };
  expect(await checkOracle({ databaseUrl: site.databaseUrl, storage, accepted })).toEqual([]);
  const published = await claimsWithProducts(storage);
  expect(published).toHaveLength(1);
  expect(published).not.toEqual(dead);
}, 300_000);
