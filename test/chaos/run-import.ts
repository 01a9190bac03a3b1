import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { finishDeletions } from '../support/oracle/deletions.ts';
import { type Sampler, startSampler } from '../support/oracle/sampler.ts';
import { checkOracle, installOracle } from '../support/oracle.ts';
import type { OwnPostgres } from '../support/own-postgres.ts';
import { figuresOf, type ImportFigures } from './figures.ts';
import { createFleet, type Fleet } from './fleet.ts';
import { startImport, untilFinished } from './import-calls.ts';
import type { Fault } from './plan-faults.ts';
import { type Progress, watchProgress } from './progress.ts';
import type { SmallVideos } from './small-videos.ts';
import { installTurns, readTakeOvers, type TakeOver } from './turns.ts';

/** Where an import is to run, and what is done to it. */
export interface RunOptions {
  readonly postgres: OwnPostgres;
  readonly videos: SmallVideos;
  /** Of the database and the folder; letters only. */
  readonly name: string;
  readonly folder: string;
  readonly count: number;
  readonly workers: number;
  readonly faults: readonly Fault[];
  readonly signal: AbortSignal;
  readonly onEnded?: (ended: number) => void;
}

/** What came of it. */
export interface RunResult {
  /** From the request to the end of the import, in seconds. */
  readonly seconds: number;
  /** Every promise that was not kept, a sentence each. */
  readonly violations: readonly string[];
  readonly figures: ImportFigures;
  readonly takeOvers: readonly TakeOver[];
  /** For how many seconds PostgreSQL was away, each time. */
  readonly away: readonly number[];
  /** What processes logged as errors, with how often. */
  readonly complaints: ReadonlyMap<string, number>;
}

/**
 * Imports real videos with processes of their own, does to them what is to be done, and looks at all that is left with the
 * oracle. Everything that it started has ended when it settles.
 * @throws Error when the import does not come to its end; the signal's reason when that is aborted
 */
export async function runImport(options: RunOptions): Promise<RunResult> {
  const { postgres, name, workers, signal } = options;
  const folder = join(options.folder, name);
  const databaseUrl = await createDatabase(postgres, name);
  const fleet = createFleet({ databaseUrl, folder });
  const sampling = createSampling(databaseUrl);
  const progress = watchProgress(databaseUrl, options.onEnded ?? (() => {}), signal);
  try {
    await fleet.startApi();
    await installOracle(databaseUrl);
    await installTurns(databaseUrl);
    await fleet.startWorkers(workers);
    await sampling.start();
    const run = { ...options, databaseUrl, folder, fleet, sampling, progress };
    return await orAborted(importAndCheck(run), signal);
  } finally {
    await fleet.abandon();
    await sampling.stop().catch(() => {});
    await progress.close();
  }
}

interface Run extends RunOptions {
  readonly databaseUrl: string;
  readonly fleet: Fleet;
  readonly sampling: Sampling;
  readonly progress: Progress;
}

async function importAndCheck(run: Run): Promise<RunResult> {
  const { databaseUrl, folder, fleet, sampling, progress, videos, count } = run;
  const away: number[] = [];
  const began = performance.now();
  const started = startImport(fleet, videos, count);
  const [id] = await Promise.all([started, carryOut(run, away)]);
  await progress.reached(count);
  const finished = await untilFinished(fleet, id);
  const seconds = (performance.now() - began) / 1000;
  await finishDeletions(databaseUrl);
  const sampled = await sampling.stop();
  const takeOvers = await readTakeOvers(databaseUrl, fleet.kills);
  await fleet.stop();
  const violations = await checkOracle({
    databaseUrl,
    storage: join(folder, 'media'),
    accepted: { imports: [id] },
  });
  const { figures, faults } = await figuresOf(databaseUrl, { videos, count, finished });
  return {
    seconds,
    violations: [...fleet.faults, ...violations, ...sampled, ...faults],
    figures,
    takeOvers,
    away,
    complaints: fleet.complaints(),
  };
}

/** Does what is to be done, one after the other. */
async function carryOut(
  { faults, fleet, postgres, progress, sampling, signal }: Run,
  away: number[],
): Promise<void> {
  for (const { kind, after, delayMs, pick } of faults) {
    await progress.reached(after);
    await sleep(delayMs, undefined, { signal });
    if (kind !== 'postgres') await fleet.kill(kind, pick);
    else {
      await sampling.pause();
      fleet.setDatabaseAway(true);
      const began = performance.now();
      await postgres.crash();
      away.push((performance.now() - began) / 1000);
      fleet.setDatabaseAway(false);
      await sampling.start();
    }
  }
}

/** Makes an empty database. @param name letters only @returns its URL */
export async function createDatabase(postgres: OwnPostgres, name: string): Promise<string> {
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  await client.query(`create database ${name}`).finally(() => client.end());
  const url = new URL(postgres.url);
  url.pathname = `/${name}`;
  return url.href;
}

/** Looks at counts all the time, but while the database is away. */
interface Sampling {
  start(): Promise<void>;
  pause(): Promise<void>;
  /** @returns what was wrong at some instant */
  stop(): Promise<readonly string[]>;
}

function createSampling(databaseUrl: string): Sampling {
  const faults = new Set<string>();
  let sampler: Sampler | null = null;
  const pause = async () => {
    const running = sampler;
    sampler = null;
    for (const fault of (await running?.stop()) ?? []) faults.add(fault);
  };
  return {
    async start() {
      sampler = await startSampler(databaseUrl);
    },
    pause,
    async stop() {
      await pause();
      return [...faults];
    },
  };
}

/** What comes of work, unless the signal aborts first. @throws the signal's reason */
export async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  work.catch(() => {}); // Of no interest after an abort.
  const aborted = new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason));
  });
  aborted.catch(() => {});
  return await Promise.race([work, aborted]);
}
