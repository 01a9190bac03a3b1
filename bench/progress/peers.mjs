import { createServer } from 'node:http';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { useServer } from 'graphql-ws/use/ws';
import { createPubSub, createSchema, createYoga } from 'graphql-yoga';
import pg from 'pg';
import { WebSocketServer } from 'ws';
import { now, stampOf } from './clock.mjs';
import { eventOf, PEER_SDL } from './documents.mjs';

/**
 * The servers that ours is compared with, as a process: `node peers.mjs KIND [DATABASE_URL IMPORT_ID]`. With a database they hear
 * of changes over LISTEN and read them by one statement; without one they publish when they are told to.
 */
const [kind, databaseUrl, importId = '3f1c15b2-45a9-4e52-a4c1-8e3ff4dd8c2b'] = process.argv.slice(2);
const BACKLOG_BYTES = 65_536;

const server = createServer();
const sockets = new WebSocketServer({ server, path: '/graphql', perMessageDeflate: false });

/** The wiring of Yoga's documentation, and its own pub/sub. */
function startYoga() {
  const pubsub = createPubSub();
  const importProgress = { subscribe: () => pubsub.subscribe('event'), resolve: (event) => event };
  const schema = createSchema({ typeDefs: PEER_SDL, resolvers: { Subscription: { importProgress } } });
  const yoga = createYoga({ schema, logging: false });
  const onSubscribe = async (context, _id, params) => {
    const { request: req, socket } = context.extra;
    const enveloped = yoga.getEnveloped({ ...context, req, socket, params });
    const { execute, subscribe, contextFactory, parse, validate } = enveloped;
    const args = {
      schema: enveloped.schema,
      operationName: params.operationName,
      document: parse(params.query),
      variableValues: params.variables,
      contextValue: await contextFactory(),
      rootValue: { execute, subscribe },
    };
    const errors = validate(args.schema, args.document);
    return errors.length > 0 ? errors : args;
  };
  useServer(
    {
      execute: (args) => args.rootValue.execute(args),
      subscribe: (args) => args.rootValue.subscribe(args),
      onSubscribe,
    },
    sockets,
  );
  return (event) => pubsub.publish('event', event);
}

/** No GraphQL at all: the same bytes to every socket. */
function startBare() {
  const ids = new Map();
  sockets.on('connection', (socket) => {
    socket.on('message', (data) => {
      const message = JSON.parse(data);
      if (message.type === 'connection_init') socket.send('{"type":"connection_ack"}');
      else ids.set(socket, message.id);
    });
    socket.on('close', () => ids.delete(socket));
  });
  return (event) => {
    const json = JSON.stringify({ data: { importProgress: event } });
    const bytes = Buffer.from(`{"id":"0-0123-4567","type":"next","payload":${json}}`);
    for (const socket of ids.keys()) socket.send(bytes, { binary: false });
  };
}

/** Reads what has changed since it looked last whenever it is told of something. */
async function followDatabase(publish) {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 2 });
  const listener = new pg.Client({ connectionString: databaseUrl });
  await listener.connect();
  let since = new Date(0);
  let reading = Promise.resolve();
  const read = async () => {
    const { rows } = await pool.query(
      `select t.id, t.name, p.bytes_done::float8 as stamp, p.updated_at as at
         from task_progress p join tasks t on t.id = p.task_id where p.import_id = $1 and p.updated_at > $2`,
      [importId, since],
    );
    if (rows.length === 0) return;
    since = new Date(Math.max(...rows.map(({ at }) => at.getTime())));
    publish(eventOf(importId, rows));
  };
  listener.on('notification', () => {
    reading = reading.then(read);
  });
  await listener.query('listen sluice_changes');
}

const backlog = () =>
  Math.max(
    0,
    ...[...sockets.clients].map((socket) => Math.max(socket.bufferedAmount, socket._socket.writableLength)),
  );

const publish = kind === 'yoga' ? startYoga() : startBare();
process.on('message', async ({ events, tasks }) => {
  if (events === undefined) return process.send({ rss: process.memoryUsage.rss() });
  for (let n = 0; n < events; n += 1) {
    const task = { id: importId, name: `Clip ${n}`, stamp: stampOf(now()) };
    publish(
      eventOf(
        importId,
        Array.from({ length: tasks }, () => task),
      ),
    );
    await turn();
    while (backlog() > BACKLOG_BYTES) await sleep(1);
  }
});
for (const end of ['disconnect', 'SIGTERM']) process.on(end, () => process.exit());
if (databaseUrl) await followDatabase(publish);
server.listen(0, '127.0.0.1', () => process.send({ url: `http://127.0.0.1:${server.address().port}` }));
