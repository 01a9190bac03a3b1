import pg from 'pg';
import { times } from './support.mjs';

const SCHEMA = 'graphile_worker';
const PAGE = 5_000;
const BATCHING = { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 };

/** graphile-worker as it comes, or with everything that it offers for batching. */
export async function createPeer({ url, onStart, library, batching }) {
  const { run, makeWorkerUtils, Logger } = library;
  const logger = new Logger(() => () => {});
  const common = { connectionString: url, schema: SCHEMA, logger };
  const utils = await makeWorkerUtils(common);
  await utils.migrate();
  const admin = new pg.Pool({ connectionString: url, max: 2 });
  const taskList = { noop: ({ n }) => onStart(n) };
  return {
    clear: () => admin.query(`delete from ${SCHEMA}._private_jobs`),
    async add(length) {
      const jobs = times(length, (n) => ({ identifier: 'noop', payload: { n } }));
      for (let at = 0; at < length; at += PAGE) await utils.addJobs(jobs.slice(at, at + PAGE));
    },
    addOne: (n) => utils.addJob('noop', { n }),
    left: async () =>
      (await admin.query(`select count(*)::int as left from ${SCHEMA}._private_jobs`)).rows[0].left,
    async start(slots) {
      const size = { concurrency: slots, maxPoolSize: slots + 1 };
      const worker = {
        ...common,
        concurrentJobs: slots,
        maxPoolSize: slots + 1,
        ...(batching ? BATCHING : {}),
      };
      const runner = await run({ ...common, ...size, noHandleSignals: true, taskList, preset: { worker } });
      return () => runner.stop();
    },
    async close() {
      await utils.release();
      await admin.end();
    },
  };
}
