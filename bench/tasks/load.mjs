import pg from 'pg';
import { percentile } from '../jobs/support.mjs';
import { loadLibrary } from '../libraries.mjs';
import { KEY } from './seed.mjs';

const { default: autocannon } = await loadLibrary('autocannon');

/** The load, in a process of its own. Takes one order at a time, and answers each with what it measured. */
process.on('disconnect', () => process.exit());
process.on('message', async (order) => {
  process.send(order.statement === undefined ? await sendRequests(order) : await runStatement(order));
});

/** @returns how many requests, how many a second, and the 95th percentile in ms */
async function sendRequests({ url, body, connections, seconds }) {
  const latencies = [];
  let wrong = 0;
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${KEY}` };
  const run = autocannon({
    url,
    connections,
    duration: seconds,
    requests: [{ method: 'POST', headers, body }],
  });
  run.on('response', (_client, status, _bytes, ms) => {
    if (status === 200) latencies.push(ms);
    else wrong += 1;
  });
  const begin = performance.now();
  await run;
  if (wrong > 0) throw new Error(`${wrong} answers of ${url} were not 200`);
  return summarize(latencies, begin);
}

let pool;

/** The statement that our server would run, by itself. */
async function runStatement({ url, statement, connections, seconds }) {
  pool ??= new pg.Pool({ connectionString: url, max: 50 });
  const latencies = [];
  const begin = performance.now();
  const end = begin + seconds * 1000;
  const runOne = async () => {
    while (performance.now() < end) {
      const start = performance.now();
      await pool.query(statement);
      latencies.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: connections }, runOne));
  return summarize(latencies, begin);
}

const summarize = (latencies, begin) => ({
  count: latencies.length,
  rate: latencies.length / ((performance.now() - begin) / 1000),
  p95: percentile(latencies, 95),
});
