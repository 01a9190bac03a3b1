import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { planFaults } from '../chaos/plan-faults.ts';
import { runImport } from '../chaos/run-import.ts';
import { serveSmallVideos } from '../chaos/small-videos.ts';
import { startOwnPostgres } from '../support/own-postgres.ts';

const COUNTS = { videos: 60, workerKills: 5, postgresRestarts: 1, apiKills: 1 };

test('nothing is lost and nothing comes in twice while workers, the API and PostgreSQL are killed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-chaos-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const videos = await serveSmallVideos();
  onTestFinished(() => videos.close());
  const postgres = await startOwnPostgres({ full_page_writes: 'on' });
  onTestFinished(() => postgres.stop());
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  const seed = Math.floor(Math.random() * 2 ** 32);
  const { violations, figures, takeOvers, away, complaints } = await runImport({
    postgres,
    videos,
    folder,
    name: 'short',
    count: COUNTS.videos,
    workers: 2,
    faults: planFaults(COUNTS, seed),
    signal: stop.signal,
  });
  expect(violations, `seed ${seed}`).toEqual([]);
  // Who was started while PostgreSQL was away said so, in one line, and was started again.
  const others = [...complaints.keys()].filter((text) => !text.startsWith('sluice: The database at '));
  expect(others, `seed ${seed}`).toEqual([]);
  expect(figures).toMatchObject({ ready: 60 });
  // All of it did happen.
  expect(takeOvers.map(({ kill }) => kill.role).sort()).toEqual(['api', ...Array(5).fill('worker')]);
  expect(takeOvers.some(({ jobs }) => jobs > 0)).toBe(true);
  expect(away).toHaveLength(1);
}, 300_000);
