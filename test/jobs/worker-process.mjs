// A worker in a process of its own, for tests that kill or freeze it. Run from dist/: Node 20 reads no TypeScript.
import { pino } from 'pino';
import { z } from 'zod';
import { createDatabase } from '../../dist/db/client.js';
import { transaction } from '../../dist/db/transaction.js';
import { defineJob } from '../../dist/jobs/define.js';
import { finishJob } from '../../dist/jobs/queue.js';
import { createWorker } from '../../dist/jobs/worker.js';

const { url, ...options } = JSON.parse(process.argv[2]);
const log = pino({ level: 'silent' });
const { db, pool } = createDatabase({ url, log, applicationName: 'worker process' });
const thawed = new Promise((resolve) => process.once('SIGCONT', resolve));

const behaviours = {
  /** Ends at once. */
  finish: async () => {},
  /** Never ends by itself. */
  hang: () => new Promise(() => {}),
  /** Dies, and its whole process with it. */
  die: () => process.kill(process.pid, 'SIGKILL'),
  /** Goes on when the process was frozen and goes on, and tries to finish as if nothing had happened. */
  zombie: () => thawed,
};

const untilAborted = (signal) =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', resolve);
  });

const handler = {
  definition: defineJob({ kind: 'count', schema: z.object({ n: z.number(), behaviour: z.string() }) }),
  run: async (job, { signal }) => {
    signal.addEventListener('abort', () => process.send({ aborted: signal.reason.name }));
    await pool.query('insert into runs (subject, pid, claims) values ($1, $2, $3)', [
      job.subjectId,
      process.pid,
      job.claims,
    ]);
    await behaviours[job.payload.behaviour]();
    try {
      await transaction(db, async (tx) => {
        await tx.execute(`insert into results values ('${job.subjectId}', ${process.pid})`);
        await finishJob(tx, job);
      });
    } catch (error) {
      process.send({ refused: error.name });
      // A lease is kept, and found to be over, for as long as its job runs.
      if (error.name === 'LeaseLostError') await untilAborted(signal);
      throw error;
    }
  },
};

const signal = { wake: () => {}, onWake: () => () => {} };
createWorker({ db, pool, signal, handlers: [handler], concurrency: { count: 4 }, log, ...options }).start();
process.on('disconnect', () => process.exit());
