import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { times } from './support.mjs';

const QUEUE = 'noop';
const PAGE = 5_000;
const WORK = {
  batchSize: 100,
  pollingIntervalSeconds: 0.5,
  notifyPollingIntervalSeconds: 0.5,
  burstWhenBatchFull: true,
};

/** pg-boss at its best: notified, in bursts, 100 jobs a batch. */
export async function createPeer({ url, onStart, library }) {
  const boss = new library.PgBoss({
    connectionString: url,
    max: 50,
    supervise: false,
    schedule: false,
    useListenNotify: true,
  });
  boss.on('error', () => {});
  await boss.start();
  await boss.createQueue(QUEUE, { notify: true });
  const admin = new pg.Pool({ connectionString: url, max: 2 });
  const work = async (jobs) => {
    for (const { data } of jobs) onStart(data.n);
  };
  return {
    async clear() {
      await boss.deleteAllJobs(QUEUE);
    },
    async add(length) {
      const jobs = times(length, (n) => ({ data: { n } }));
      for (let at = 0; at < length; at += PAGE) await boss.insert(QUEUE, jobs.slice(at, at + PAGE));
    },
    addOne: (n) => boss.send(QUEUE, { n }),
    left: async () =>
      (await admin.query("select count(*)::int as left from pgboss.job where state < 'completed'")).rows[0]
        .left,
    async start(slots) {
      await boss.work(QUEUE, { ...WORK, localConcurrency: slots }, work);
      return async () => {
        await boss.offWork(QUEUE);
        // It looks once more before it ends.
        await sleep(600);
      };
    },
    async close() {
      await boss.stop({ graceful: false, wait: false, timeout: 1000 }).catch(() => {});
      await admin.end();
    },
  };
}
