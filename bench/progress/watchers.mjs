import { WebSocket } from 'ws';
import { now } from './clock.mjs';
import { FEED, WATCH } from './documents.mjs';

/**
 * Subscribers who keep what they are told, in a process of their own: `node watchers.mjs URL KEY WATCHES`. Each watch has a name
 * and a kind: WHOLE and COUNTS are importProgress with and without tasks, FEED is tasksChanged. Tells `ready`, and what each
 * knows when it is asked.
 */
const [url, key, watches] = process.argv.slice(2);
const KINDS = {
  WHOLE: { query: WATCH, variables: { tasks: true } },
  COUNTS: { query: WATCH, variables: { tasks: false } },
  FEED: { query: FEED, variables: {} },
};

/** Follows one, and keeps the status of each task as it was told last. */
function follow({ name, kind, id }) {
  const statuses = new Map();
  const known = { name, events: 0, bytes: 0, last: 0, import: null, complete: false, error: null };
  const take = (event) => {
    for (const task of event.changed ?? []) statuses.set(task.id, task.status);
    for (const removed of event.removedIds ?? []) statuses.delete(removed);
    known.import = event.import ?? null;
  };
  const { query, variables } = KINDS[kind];
  const payload = { query, variables: { ...variables, id } };
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
    perMessageDeflate: false,
  });
  const send = (message) => socket.send(JSON.stringify(message));
  socket.once('open', () => send({ type: 'connection_init', payload: { authorization: `Bearer ${key}` } }));
  socket.on('message', (data) => {
    const message = JSON.parse(data);
    if (message.type === 'connection_ack') send({ id: '1', type: 'subscribe', payload });
    if (message.type === 'ping') send({ type: 'pong' });
    if (message.type === 'complete') known.complete = true;
    if (message.type === 'error' || message.payload?.errors) known.error = String(data).slice(0, 500);
    if (message.type !== 'next') return;
    known.events += 1;
    known.bytes += data.length;
    known.last = now();
    for (const event of Object.values(message.payload.data ?? {})) take(event);
  });
  for (const end of ['error', 'close'])
    socket.once(end, (why) => {
      if (!known.complete) known.error ??= `its socket has ended: ${why}`;
    });
  const countStatuses = () => {
    const counts = {};
    for (const status of statuses.values()) counts[status] = (counts[status] ?? 0) + 1;
    return counts;
  };
  return () => ({ ...known, tasks: statuses.size, statuses: countStatuses() });
}

const followed = JSON.parse(watches).map(follow);
process.on('message', () => process.send({ known: followed.map((tell) => tell()) }));
for (const end of ['disconnect', 'SIGTERM']) process.on(end, () => process.exit());
process.send({ ready: true });
