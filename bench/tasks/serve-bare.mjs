import { once } from 'node:events';
import { createServer } from 'node:http';
import { parse, validate } from 'graphql';
import { compileQuery } from 'graphql-jit';
import pg from 'pg';
import { pino } from 'pino';
import { createDatabase } from '../../dist/db/client.js';
import { schema } from '../../dist/schema/index.js';
import { authenticate } from '../../dist/services/viewer.js';
import { KEY } from './seed.mjs';

/**
 * Our schema with graphql-jit and nothing else: no key, no limits, no deadline, no masked errors, no headers. The best that
 * a server of this schema can do. Also tells the parent the statement behind each body that it is sent.
 */
export async function serve(url) {
  let latest;
  const { query } = pg.Client.prototype;
  const { db } = createDatabase({ url, log: pino({ level: 'warn' }), applicationName: 'bench', max: 16 });
  const viewer = await authenticate(db, KEY);
  const documents = new Map();
  const compiled = (text) => {
    const known = documents.get(text);
    if (known) return known;
    const document = parse(text);
    const [error] = validate(schema, document);
    if (error) throw error;
    const made = compileQuery(schema, document);
    documents.set(text, made);
    return made;
  };
  const answer = async (body) => {
    const { query: text, variables } = JSON.parse(body);
    return JSON.stringify(await compiled(text).query(undefined, { viewer, db }, variables));
  };
  process.on('message', async ({ body }) => {
    if (body === undefined) return;
    pg.Client.prototype.query = function (...args) {
      const [{ text, name, rowMode }, values] = args;
      latest = { text, name, rowMode, values: args[0].values ?? values };
      return Reflect.apply(query, this, args);
    };
    await answer(body);
    pg.Client.prototype.query = query;
    process.send({ statement: latest });
  });
  const server = createServer((request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', async () => {
      const json = await answer(parts.length === 1 ? parts[0] : Buffer.concat(parts));
      response.writeHead(200, {
        'content-type': 'application/json; charset=utf-8',
        'content-length': Buffer.byteLength(json),
      });
      response.end(json);
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return `http://127.0.0.1:${server.address().port}/graphql`;
}
