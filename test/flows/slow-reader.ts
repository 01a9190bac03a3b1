import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { WebSocket } from 'ws';
import { waitFor } from '../support/wait.ts';
import type { Transport } from './live.ts';

/** A subscriber that takes the first event and then nothing more from its connection, until it is told to. */
export interface SlowReader {
  /** Takes all that is left, to the end. @returns the data of the events, and their bytes altogether */
  readOn(): Promise<{ readonly events: readonly unknown[]; readonly bytes: number }>;
}

export interface SlowReaderOptions {
  readonly url: string;
  readonly key: string;
  readonly transport: Transport;
  readonly query: string;
}

/** Subscribes, and waits for the first event. */
export async function openSlowReader(options: SlowReaderOptions): Promise<SlowReader> {
  return options.transport === 'WebSocket' ? await openSocket(options) : await openEvents(options);
}

async function openSocket({ url, key, query }: SlowReaderOptions): Promise<SlowReader> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  const events: unknown[] = [];
  let [bytes, isOver] = [0, false];
  socket.on('message', (data) => {
    const { type, payload } = JSON.parse(String(data));
    if (type === 'complete') isOver = true;
    if (type !== 'next') return;
    events.push(payload.data);
    bytes += String(data).length;
    if (events.length === 1) socket.pause();
  });
  await once(socket, 'open');
  socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${key}` } }));
  await once(socket, 'message');
  socket.send(JSON.stringify({ type: 'subscribe', id: '1', payload: { query } }));
  await waitFor(() => events.length > 0, { what: 'the first event' });
  return {
    async readOn() {
      socket.resume();
      await waitFor(() => isOver, { what: 'the end of the events' });
      socket.close();
      return { events, bytes };
    },
  };
}

async function openEvents({ url, key, query }: SlowReaderOptions): Promise<SlowReader> {
  const headers = {
    'content-type': 'application/json',
    accept: 'text/event-stream',
    authorization: `Bearer ${key}`,
  };
  const asking = request(`${url}/graphql`, { method: 'POST', headers });
  asking.end(JSON.stringify({ query }));
  const [response] = (await once(asking, 'response')) as [IncomingMessage]; // as Node documents it
  const chunks: Buffer[] = [];
  response.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    if (chunks.length === 1) response.pause();
  });
  await waitFor(() => chunks.length > 0, { what: 'the first event' });
  return {
    async readOn() {
      response.resume();
      await once(response, 'end');
      const text = Buffer.concat(chunks).toString();
      const lines = [...text.matchAll(/^data: ?(\{.*)$/gm)].map(([, data]) => JSON.parse(data ?? '').data);
      return { events: lines, bytes: text.length };
    },
  };
}
