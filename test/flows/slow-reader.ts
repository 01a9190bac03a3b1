import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { WebSocket } from 'ws';
import { waitFor } from '../support/wait.ts';
import type { Transport } from './live.ts';

/** What came of a subscriber in the end. */
export interface SlowEnd {
  /** The data of the events. */
  readonly events: readonly unknown[];
  readonly bytes: number;
  /** The server had enough of it. */
  readonly isClosed: boolean;
}

/** A subscriber that takes the first event and then nothing more from its connection, until it is told to. */
export interface SlowReader {
  /** Takes all that is left, to the end. */
  readOn(): Promise<SlowEnd>;
}

export interface SlowReaderOptions {
  readonly url: string;
  readonly key: string;
  readonly transport: Transport;
  readonly query: string;
  /** Whether all has been told with these data, of a subscription that does not complete. */
  readonly isLast?: (data: unknown) => boolean;
}

/** Subscribes, and waits for the first event. */
export async function openSlowReader(options: SlowReaderOptions): Promise<SlowReader> {
  return options.transport === 'WebSocket' ? await openSocket(options) : await openEvents(options);
}

async function openSocket({ url, key, query, isLast = () => false }: SlowReaderOptions): Promise<SlowReader> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  const events: unknown[] = [];
  let [bytes, isOver, isClosed] = [0, false, false];
  socket.on('message', (data) => {
    const { type, payload } = JSON.parse(String(data));
    if (type === 'complete') isOver = true;
    if (type !== 'next') return;
    events.push(payload.data);
    bytes += String(data).length;
    if (isLast(payload.data)) isOver = true;
    if (events.length === 1) socket.pause();
  });
  socket.on('error', () => {});
  socket.once('close', () => {
    isClosed = !isOver;
  });
  await once(socket, 'open');
  socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${key}` } }));
  await once(socket, 'message');
  socket.send(JSON.stringify({ type: 'subscribe', id: '1', payload: { query } }));
  await waitFor(() => events.length > 0, { what: 'the first event' });
  return {
    async readOn() {
      socket.resume();
      await waitFor(() => isOver || isClosed, { what: 'the end of the events' });
      socket.close();
      return { events, bytes, isClosed };
    },
  };
}

async function openEvents({ url, key, query, isLast = () => false }: SlowReaderOptions): Promise<SlowReader> {
  const headers = {
    'content-type': 'application/json',
    accept: 'text/event-stream',
    authorization: `Bearer ${key}`,
  };
  const asking = request(`${url}/graphql`, { method: 'POST', headers });
  asking.end(JSON.stringify({ query }));
  const [response] = (await once(asking, 'response')) as [IncomingMessage]; // as Node documents it
  const events: unknown[] = [];
  let [rest, bytes, isOver, isClosed] = ['', 0, false, false];
  response.setEncoding('utf8');
  response.on('data', (chunk: string) => {
    bytes += chunk.length;
    const frames = (rest + chunk).split('\n\n');
    rest = frames.pop() ?? '';
    for (const frame of frames) {
      if (/^event: ?complete$/m.test(frame)) isOver = true;
      const line = /^data: ?(\{.*)$/m.exec(frame)?.[1];
      if (line === undefined) continue;
      events.push(JSON.parse(line).data);
      if (events.length === 1) response.pause();
      if (isLast(events.at(-1))) isOver = true;
    }
  });
  response.once('close', () => {
    isClosed = !isOver;
  });
  response.on('error', () => {});
  await waitFor(() => events.length > 0, { what: 'the first event' });
  return {
    async readOn() {
      response.resume();
      await waitFor(() => isOver || isClosed, { what: 'the end of the events' });
      asking.destroy();
      return { events, bytes, isClosed };
    },
  };
}
