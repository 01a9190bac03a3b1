import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { z } from 'zod';
import { createDatabase, type Database } from '../../src/db/client.ts';
import { defineJob } from '../../src/jobs/define.ts';
import type { JobHandlers } from '../../src/jobs/handler.ts';
import { enqueueMany } from '../../src/jobs/queue.ts';
import { createJobSignal, type JobNotifications } from '../../src/jobs/signal.ts';
import { createWorker, type Worker, type WorkerOptions } from '../../src/jobs/worker.ts';
import { createTestDatabase } from '../support/database.ts';

export const log = pino({ level: process.env.LOG_LEVEL ?? 'silent' });

/** The kind of job that most tests use. */
export const count = defineJob({ kind: 'count', schema: z.object({ n: z.number().int() }) });

export interface JobRow {
  readonly id: string;
  readonly kind: string;
  readonly subject_id: string;
  readonly priority: number;
  readonly run_at: Date;
  readonly claim: string;
  readonly claims: number;
  readonly failures: number;
  readonly crashes: number;
  readonly lost_leases: number;
  readonly owner: string | null;
  readonly lease_until: Date | null;
  readonly alone: boolean;
}

/** A database of its own with an empty queue, closed and dropped by `close`. */
export async function openQueue({ max = 20 } = {}) {
  const database = await createTestDatabase();
  const { db, pool, close } = createDatabase({ url: database.url, log, applicationName: 'test', max });
  return {
    url: database.url,
    db,
    pool,
    rows: async () => (await pool.query<JobRow>('select * from jobs order by id')).rows,
    row: async () => {
      const { rows } = await pool.query<JobRow>('select * from jobs order by id');
      if (rows[0] === undefined || rows.length > 1) throw new Error(`${rows.length} jobs instead of one`);
      return rows[0];
    },
    close: async () => {
      await close();
      await database.drop();
    },
  };
}

export type Queue = Awaited<ReturnType<typeof openQueue>>;

/** `length` jobs of the kind `count`, each with a subject of its own. */
export async function enqueueCounts(db: Database, length: number): Promise<string[]> {
  const jobs = Array.from({ length }, (_, n) => ({
    subjectId: randomUUID(),
    teamId: randomUUID(),
    payload: { n },
  }));
  await enqueueMany(db, count, jobs);
  return jobs.map((job) => job.subjectId);
}

/** Notifications that reach this process only, or nobody. */
export function localSignal({ lost = false } = {}) {
  const callbacks = new Set<(payload: string) => void>();
  const notifications: JobNotifications = {
    listen: (_channel, callback) => {
      callbacks.add(callback);
      return () => void callbacks.delete(callback);
    },
    notify: (_channel, payload) => {
      if (!lost) for (const callback of callbacks) callback(payload);
    },
    onReconnect: () => () => {},
  };
  return createJobSignal(notifications);
}

/**
 * A worker with times short enough for a test, not started yet. Its leases last for longer than a busy machine stands still;
 * a test of what becomes of lost ones, or of what a heartbeat finds, sets its own.
 */
export function testWorker(
  { db, pool }: Pick<Queue, 'db' | 'pool'>,
  handlers: JobHandlers,
  options: Partial<WorkerOptions> = {},
): Worker {
  return createWorker({
    db,
    pool,
    signal: localSignal(),
    handlers,
    concurrency: { count: 8 },
    leaseSeconds: 30,
    sweepSeconds: 0.4,
    graceSeconds: 5,
    retryBaseSeconds: 0.1,
    pollSeconds: 0.1,
    log,
    ...options,
  });
}

/** A promise with its ends outside. */
export function deferred<T = void>() {
  let resolve: (value: T) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

/** Waits until the condition holds, looking every 20 ms; throws after `seconds`. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  { seconds = 60, what = 'the condition' } = {},
): Promise<void> {
  const end = performance.now() + seconds * 1000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`${what} did not come true within ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Rejects when the signal is aborted, with its reason. */
export function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

/** `length` jobs of the kind `count` that all are of one team. */
export async function enqueueOf(db: Database, teamId: string, length: number): Promise<void> {
  const jobs = Array.from({ length }, (_, n) => ({ subjectId: randomUUID(), teamId, payload: { n } }));
  await enqueueMany(db, count, jobs);
}
