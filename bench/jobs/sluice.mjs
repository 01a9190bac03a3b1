import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { z } from 'zod';
import { createDatabase } from '../../dist/db/client.js';
import { migrate } from '../../dist/db/migrate.js';
import { createNotifications } from '../../dist/db/notifications.js';
import { defineJob } from '../../dist/jobs/define.js';
import { createJobSignal, enqueue, enqueueMany } from '../../dist/jobs/queue.js';
import { createWorker } from '../../dist/jobs/worker.js';
import { times } from './support.mjs';

const log = pino({ level: 'warn' });
const noop = defineJob({ kind: 'noop', schema: z.object({ n: z.number() }) });
const newJob = (n, teamId = randomUUID()) => ({ subjectId: randomUUID(), teamId, payload: { n } });

/** An empty queue of ours with connections of its own; `enqueueNoops`: in pages, `teams` in turn. */
export async function openQueue(url) {
  await migrate({ url, log });
  const { db, pool, close } = createDatabase({ url, log, applicationName: 'bench', max: 16 });
  return {
    db,
    pool,
    close,
    async enqueueNoops(length, teams = [randomUUID()]) {
      const jobs = times(length, (n) => newJob(n, teams[n % teams.length]));
      for (let at = 0; at < length; at += PAGE) await enqueueMany(db, noop, jobs.slice(at, at + PAGE));
    },
    clear: () => pool.query('truncate jobs'),
  };
}
const PAGE = 5_000;

/**
 * Our own loop with all that belongs to it: leases, fences, sweeps.
 * @param teams how many teams the jobs are of
 * @param remote whether single jobs are announced by another connection, as by another process, or in this process
 */
export async function createPeer({ url, onStart, teams = 1, remote = false }) {
  const queue = await openQueue(url);
  const { db, pool } = queue;
  const teamIds = times(teams, () => randomUUID());
  const connect = () => createNotifications({ connectionString: url, pool, log });
  const [here, there] = [connect(), connect()];
  await here.start();
  const signal = createJobSignal(here);
  const announcer = remote ? createJobSignal(there) : signal;
  const handler = { definition: noop, run: async ({ payload }) => onStart(payload.n) };
  return {
    clear: queue.clear,
    add: (length) => queue.enqueueNoops(length, teamIds),
    async addOne(n) {
      await enqueue(db, noop, newJob(n, teamIds[0]));
      announcer.wake(noop.kind);
    },
    left: async () => (await pool.query('select count(*)::int as left from jobs')).rows[0].left,
    async start(slots) {
      const worker = createWorker({
        db,
        pool,
        signal,
        handlers: [handler],
        concurrency: { noop: slots },
        log,
      });
      worker.start();
      return () => worker.stop();
    },
    async close() {
      await Promise.all([here.stop(), there.stop()]);
      await queue.close();
    },
  };
}
