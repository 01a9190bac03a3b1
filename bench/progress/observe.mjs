import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import pg from 'pg';

/** Loaded into our server by `node --import`: counts the statements of its API, and tells of them and of its memory. */
let statements = 0;
const { query } = pg.Client.prototype;
pg.Client.prototype.query = function (...args) {
  // The keys of open sockets are looked at every few seconds, however many changes there are.
  const text = args[0]?.text ?? args[0];
  if (this.connectionParameters.application_name === 'sluice api' && !String(text).includes('api_keys'))
    statements += 1;
  return Reflect.apply(query, this, args);
};
process.on('message', () => {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  process.send({ statements, rss: process.memoryUsage.rss() });
});
process.channel?.unref();
