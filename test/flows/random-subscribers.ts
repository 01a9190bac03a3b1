import { setTimeout as sleep } from 'node:timers/promises';
import type { TadaDocumentNode } from 'gql.tada';
import { print } from 'graphql';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import type { Transport } from './live.ts';

/** One connection of a subscriber, which may be cut at any time. */
export interface Connection<Event> {
  /** The events as they come; ends with the subscription, or when the connection is cut. */
  readonly events: AsyncIterableIterator<Event>;
  /** Whether the server has completed the subscription. */
  isComplete(): boolean;
  /** Ends it without a word, whatever is on its way. */
  cut(): void;
}

interface Ask<Event, Variables> {
  readonly url: string;
  readonly key: string;
  readonly transport: Transport;
  readonly document: TadaDocumentNode<Event, Variables>;
  readonly variables: Variables;
}

/** Subscribes over a transport. */
function connect<Event, Variables>(ask: Ask<Event, Variables>): Connection<Event> {
  return ask.transport === 'WebSocket' ? overSocket(ask) : overEvents(ask);
}

function overSocket<Event, Variables>({
  url,
  key,
  document,
  variables,
}: Ask<Event, Variables>): Connection<Event> {
  let socket: WebSocket | undefined;
  let [isComplete, isCut] = [false, false];
  const client = createClient({
    url: `${url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${key}` },
    retryAttempts: 0,
    on: {
      opened: (opened) => {
        socket = opened as WebSocket; // of webSocketImpl
        if (isCut) socket.terminate();
      },
    },
  });
  const results = client.iterate({ query: print(document as never), variables: variables as never });
  async function* read(): AsyncGenerator<Event> {
    try {
      for await (const result of results) yield dataOf<Event>(result);
      isComplete = !isCut;
    } catch (error) {
      if (!isCut) throw error instanceof Error ? error : new Error(JSON.stringify(error));
    }
  }
  return {
    events: read(),
    isComplete: () => isComplete,
    cut() {
      isCut = true;
      socket?.terminate();
    },
  };
}

function overEvents<Event, Variables>({
  url,
  key,
  document,
  variables,
}: Ask<Event, Variables>): Connection<Event> {
  const controller = new AbortController();
  let isComplete = false;
  async function* read(): AsyncGenerator<Event> {
    try {
      const response = await fetch(`${url}/graphql`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'text/event-stream',
          authorization: `Bearer ${key}`,
        },
        body: JSON.stringify({ query: print(document as never), variables }),
        signal: controller.signal,
      });
      let text = '';
      const decoder = new TextDecoder();
      // Node's streams can be iterated.
      for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
        const frames = (text + decoder.decode(chunk, { stream: true })).split('\n\n');
        text = frames.pop() ?? '';
        for (const frame of frames) {
          const data = /^data: ?(\{.*)$/m.exec(frame)?.[1];
          if (/^event: ?complete$/m.test(frame)) isComplete = true;
          else if (data !== undefined) yield dataOf<Event>(JSON.parse(data));
        }
      }
    } catch (error) {
      if (!controller.signal.aborted) throw error;
    }
  }
  return { events: read(), isComplete: () => isComplete, cut: () => controller.abort() };
}

function dataOf<Event>(result: unknown): Event {
  const { data, errors } = result as { data?: Event; errors?: unknown }; // as GraphQL answers
  if (errors !== undefined || data == null) throw new Error(`unexpected: ${JSON.stringify(errors)}`);
  return data;
}

/** When a subscriber goes away: after so many events of a visit, or so many milliseconds, whatever is first. */
export interface Visit {
  readonly events: number;
  readonly ms: number;
  readonly pauseMs: number;
  /** Which of the servers it comes to. */
  readonly server: number;
}

/** What a subscriber does with its visits. */
export interface VisitorOptions<Event, Variables>
  extends Pick<Ask<Event, Variables>, 'key' | 'transport' | 'document'> {
  readonly urls: readonly string[];
  /** In the end it stays, until the subscription completes or the signal is aborted. */
  readonly visits: readonly Visit[];
  readonly signal: AbortSignal;
  /** Of the next visit. */
  readonly variables: () => Variables;
  readonly onVisit?: () => void;
  readonly onEvent: (event: Event) => void | Promise<void>;
}

const FOR_EVER = { events: Number.POSITIVE_INFINITY, ms: Number.POSITIVE_INFINITY, pauseMs: 0, server: 0 };

/** Comes and goes as planned. @returns whether the subscription was completed */
export async function visit<Event, Variables>(options: VisitorOptions<Event, Variables>): Promise<boolean> {
  const { urls, visits, signal, key, transport, document } = options;
  for (const { events, ms, pauseMs, server } of [...visits, FOR_EVER]) {
    if (signal.aborted) return false;
    options.onVisit?.();
    const url = urls[server % urls.length] ?? '';
    const connection = connect({ url, key, transport, document, variables: options.variables() });
    const cut = () => connection.cut();
    const timer = Number.isFinite(ms) ? setTimeout(cut, ms) : undefined;
    signal.addEventListener('abort', cut);
    let seen = 0;
    for await (const event of connection.events) {
      await options.onEvent(event);
      seen += 1;
      if (seen >= events) break;
    }
    clearTimeout(timer);
    signal.removeEventListener('abort', cut);
    connection.cut();
    if (connection.isComplete()) return true;
    await sleep(pauseMs);
  }
  return false;
}
