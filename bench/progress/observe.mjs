import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import pg from 'pg';
import { percentile } from '../jobs/support.mjs';

/**
 * Loaded into our server by `node --import`: counts the statements of its API, and tells of them and of its memory; asked to
 * begin, of the delay of its event loop from then on, too (milliseconds, over those of the timer that measures it).
 */
let statements = 0;
const { query } = pg.Client.prototype;
pg.Client.prototype.query = function (...args) {
  // The keys of open sockets are looked at every few seconds, however many changes there are.
  const text = args[0]?.text ?? args[0];
  if (this.connectionParameters.application_name === 'sluice api' && !String(text).includes('api_keys'))
    statements += 1;
  return Reflect.apply(query, this, args);
};
const RESOLUTION_MS = 10;
const loop = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
let [own, used] = [[0], process.cpuUsage()];
/** What the process itself has computed from one tick to the next: on a busy machine the loop waits for others, too. */
const sample = () => {
  const since = process.cpuUsage(used);
  used = process.cpuUsage();
  own.push((since.user + since.system) / 1000);
};
/** Only from when it is asked for: to look so often costs more than a server that does nothing. */
let isSampling = false;
const late = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);

process.on('message', ({ begin = false, calm = false }) => {
  if (!calm) collectGarbage();
  process.send({
    statements,
    rss: process.memoryUsage.rss(),
    loop: { p50: late(loop.percentile(50)), p99: late(loop.percentile(99)), max: late(loop.max) },
    own: { p99: percentile(own, 99), max: Math.max(...own) },
  });
  if (!begin) return;
  loop.enable();
  if (!isSampling) setInterval(sample, RESOLUTION_MS).unref();
  isSampling = true;
  // What was just done here is nobody's delay.
  setTimeout(() => {
    loop.reset();
    own = [];
    used = process.cpuUsage();
  });
});
process.channel?.unref();

function collectGarbage() {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
}
