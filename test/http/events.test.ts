import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type GraphQLAnswer, post, READ_KEY, SECRET, type SmallServer, startSmallServer } from './support.ts';

let server: SmallServer;
beforeAll(async () => {
  server = await startSmallServer();
});
afterAll(() => server.http.stop());

interface ServerEvent {
  readonly event: string;
  readonly data: GraphQLAnswer | null;
}

const subscribe = (query: string, options: Parameters<typeof post>[2] = {}, to = server) =>
  post(to, { query }, { ...options, accept: 'text/event-stream' });

/** The events of an answer as they come, in the framing of the HTML specification, until it ends. */
async function* eventsOf({ body }: Response): AsyncGenerator<ServerEvent> {
  let text = '';
  const decoder = new TextDecoder();
  // Node's streams can be iterated.
  const chunks = body as unknown as AsyncIterable<Uint8Array>;
  for await (const bytes of chunks) {
    const chunk = decoder.decode(bytes, { stream: true });
    const frames = (text + chunk).split('\n\n');
    text = frames.pop() ?? '';
    for (const frame of frames) {
      const event = /^event: ?(.*)$/m.exec(frame)?.[1];
      const data = /^data: ?(.+)$/m.exec(frame)?.[1];
      if (event !== undefined) yield { event, data: data === undefined ? null : JSON.parse(data) };
    }
  }
}

/** The same, all at once. */
async function allOf(response: Response): Promise<readonly ServerEvent[]> {
  const events: ServerEvent[] = [];
  for await (const event of eventsOf(response)) events.push(event);
  return events;
}

describe('server-sent events', () => {
  test('a subscription comes event by event, up to its end', async () => {
    const response = await subscribe('subscription { ticks(to: 3) }');
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
    expect(response.headers.get('cache-control')).toContain('no-cache');
    expect(await allOf(response)).toEqual([
      ...[1, 2, 3].map((ticks) => ({ event: 'next', data: { data: { ticks } } })),
      { event: 'complete', data: null },
    ]);
  });

  test('without a key there is no stream', async () => {
    expect((await subscribe('subscription { ticks(to: 3) }', { key: null })).status).toBe(401);
  });

  test('an operation that is not valid is told as an error', async () => {
    const [first] = await allOf(await subscribe('subscription { ticks }'));
    expect(first?.data?.errors?.[0]?.extensions.code).toBe('BAD_USER_INPUT');
  });

  test('what breaks in the middle is masked, and ends the stream', async () => {
    const events = await allOf(await subscribe('subscription { failing }'));
    expect(events[0]?.data).toEqual({ data: { failing: 1 } });
    expect(events[1]?.data?.errors?.[0]?.extensions.code).toBe('INTERNAL_SERVER_ERROR');
    expect(JSON.stringify(events)).not.toContain('api_keys');
    expect(server.logged.join()).toContain(JSON.stringify(SECRET).slice(1, -1));
  });

  test('a client that goes away ends its subscription', async () => {
    const response = await subscribe('subscription { forever }');
    const events = eventsOf(response);
    expect((await events.next()).value?.data).toEqual({ data: { forever: 1 } });
    expect(server.running()).toBe(1);
    await events.return(undefined);
    await expect.poll(() => server.running()).toBe(0);
  });

  test('a key that is revoked ends its streams within five seconds', async () => {
    const revoking = await startSmallServer();
    const response = await subscribe('subscription { forever }', { key: READ_KEY }, revoking);
    const events = eventsOf(response);
    await events.next();
    const began = performance.now();
    revoking.revoke(READ_KEY);
    expect((await events.next()).done).toBe(true);
    // A look every three seconds, and what a busy machine adds.
    expect(performance.now() - began).toBeLessThan(8_000);
    await expect.poll(() => revoking.running()).toBe(0);
    await revoking.http.stop();
  });

  test('a server that stops ends the streams in order, and takes nothing new', async () => {
    const stopping = await startSmallServer();
    const events = eventsOf(await subscribe('subscription { forever }', {}, stopping));
    await events.next();
    const [end] = await Promise.all([events.next(), stopping.http.stop()]);
    expect(end.done).toBe(true);
    await expect.poll(() => stopping.running()).toBe(0);
    await expect(fetch(`${stopping.url}/health/live`)).rejects.toThrow('fetch failed');
  });
});
