import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe } from 'node:diagnostics_channel';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import pg from 'pg';

/**
 * Loaded into a server by `node --import`: counts the SQL statements of each HTTP request, whatever else the server does
 * meanwhile, and tells of them and of the process's memory (bytes) when the parent asks; asked to collect, after garbage
 * was collected.
 */
const ofRequest = new AsyncLocalStorage();
let latest = { statements: 0 };
let database = null;

subscribe('http.server.request.start', () => {
  latest = { statements: 0 };
  ofRequest.enterWith(latest);
});

const { query } = pg.Client.prototype;
pg.Client.prototype.query = function (...args) {
  const request = ofRequest.getStore();
  if (request) {
    const { host, port, user, password, database: name } = this.connectionParameters;
    database = { host, port, user, password, database: name };
    request.statements += 1;
  }
  return Reflect.apply(query, this, args);
};

process.on('message', (question) => {
  if (question === 'collect') collectGarbage();
  process.send?.({
    statements: latest.statements,
    database,
    rss: process.memoryUsage.rss(),
    peakRss: process.resourceUsage().maxRSS * 1024,
  });
});
process.channel?.unref();

function collectGarbage() {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
}
