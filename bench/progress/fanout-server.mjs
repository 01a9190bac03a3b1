import { buildSchema } from 'graphql';
import { pino } from 'pino';
import { createHttpServer } from '../../dist/http/server.js';
import { abortableIterator } from '../../dist/schema/abortable-iterator.js';
import { now, stampOf } from './clock.mjs';
import { eventOf, PEER_SDL } from './documents.mjs';

/**
 * Our own transport, from an event that is there to the sockets, with the peers' schema and without a database, as a process. The next
 * event comes when all subscribers are ready for it.
 */
const ID = '3f1c15b2-45a9-4e52-a4c1-8e3ff4dd8c2b';
let waiting = [];
let onAll = () => {};
let subscribers = 0;

async function* events(signal) {
  subscribers += 1;
  for (;;)
    yield await new Promise((resolve, reject) => {
      signal.addEventListener('abort', reject, { once: true });
      waiting.push((event) => {
        signal.removeEventListener('abort', reject);
        resolve(event);
      });
      if (waiting.length === subscribers) onAll();
    });
}

const schema = buildSchema(PEER_SDL);
const field = schema.getSubscriptionType().getFields().importProgress;
field.subscribe = () => abortableIterator(events);
field.resolve = (event) => event;
const viewer = { keyId: '1', keyName: 'bench', scopes: ['ADMIN'], defaultTeamId: '1', teamIds: ['1'] };
const http = createHttpServer({
  host: '127.0.0.1',
  port: 0,
  allowOrigins: [],
  socketsPerKey: 100_000,
  log: pino({ level: 'warn' }),
  schema,
  authenticate: async () => viewer,
  createContext: (of) => ({ viewer: of }),
  deadlineSeconds: () => 10,
  media: {
    urls: { verify: () => null, verifyProduct: () => null },
    files: { original: async () => 'GONE', product: async () => 'GONE' },
  },
  health: async () => ({}),
});

process.on('message', async ({ events: length, tasks }) => {
  if (length === undefined) return process.send({ rss: process.memoryUsage.rss() });
  for (let n = 0; n < length; n += 1) {
    if (waiting.length < subscribers)
      await new Promise((resolve) => {
        onAll = resolve;
      });
    const task = { id: ID, name: `Clip ${n}`, stamp: stampOf(now()) };
    const event = {
      ...eventOf(
        ID,
        Array.from({ length: tasks }, () => task),
      ),
      shared: true,
    };
    const all = waiting;
    waiting = [];
    for (const tell of all) tell(event);
  }
});
for (const end of ['disconnect', 'SIGTERM']) process.on(end, () => process.exit());
process.send(await http.start());
