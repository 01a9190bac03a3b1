import { buildSchema } from 'graphql';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { abortableIterator } from '../../src/schema/abortable-iterator.ts';
import type { Context } from '../../src/schema/context.ts';
import { waitFor } from '../support/wait.ts';
import { open, type RawSocket, subscribe } from './raw-socket.ts';
import { KEY, post, SECRET, type SmallServer, startSmallServer } from './support.ts';

const SDL = /* GraphQL */ `
  type Query { hello: String }
  type Beat { number: Int! text: String! echo(of: String): String who: String! broken: String }
  type Subscription { beat(after: String, own: Boolean): Beat! }
`;
const OTHER_KEY = `slc_${'o'.repeat(40)}`;
const TEAMLESS_KEY = `slc_${'t'.repeat(40)}`;
const READ_KEY = `slc_${'r'.repeat(40)}`;
const viewer = { scopes: ['ADMIN'], defaultTeamId: '1', teamIds: ['1'] };
const VIEWERS = new Map([
  [KEY, { ...viewer, keyId: '1', keyName: 'one' }],
  [OTHER_KEY, { ...viewer, keyId: '2', keyName: 'another' }],
  [TEAMLESS_KEY, { ...viewer, keyId: '3', keyName: 'of more teams', teamIds: ['1', '2'] }],
  [READ_KEY, { ...viewer, keyId: '4', keyName: 'reader', scopes: ['READ'] }],
]);
const TEXT = 'schön "quoted" \u2028 🎬';

let server: SmallServer;
let sockets: RawSocket[];
/** How often a field was asked for. */
let executed: number;
let subscribed: number;
let waiting: ((event: object) => void)[];

beforeEach(async () => {
  [sockets, executed, subscribed, waiting] = [[], 0, 0, []];
  server = await startSmallServer({
    schema: smallSchema(),
    authenticate: async (key) => VIEWERS.get(key) ?? null,
  });
});

afterEach(async () => {
  for (const { socket } of sockets) socket.close();
  await server.http.stop();
});

async function* beats(signal: AbortSignal): AsyncGenerator<object> {
  for (;;)
    yield await new Promise<object>((resolve, reject) => {
      waiting.push(resolve);
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
}

function smallSchema() {
  const schema = buildSchema(SDL);
  const fields = schema.getType('Beat');
  const root = schema.getSubscriptionType()?.getFields().beat;
  if (!fields || !('getFields' in fields) || !root) throw new Error('the schema has no beat');
  root.subscribe = () => {
    subscribed += 1;
    return abortableIterator(beats);
  };
  root.resolve = (event) => event;
  const resolvers = {
    number: ({ number }: { number: number }) => {
      executed += 1;
      return number;
    },
    text: () => TEXT,
    echo: (_: unknown, { of }: { of: string }) => of,
    who: (_: unknown, __: unknown, context: Context) => context.viewer.keyName,
    broken: () => {
      throw new Error(SECRET);
    },
  };
  const known = fields.getFields() as Readonly<Record<string, object>>; // an object type, as the schema says
  for (const [name, resolve] of Object.entries(resolvers)) Object.assign(known[name] ?? {}, { resolve });
  return schema;
}

/** Opens a socket for each operation, and waits until all of them listen. */
async function watch(
  ...operations: readonly { readonly query: string; readonly variables?: object; readonly key?: string }[]
): Promise<void> {
  const before = subscribed;
  for (const [at, { query, variables, key = KEY }] of operations.entries()) {
    const raw = await open(server);
    raw.send({ type: 'connection_init', payload: { authorization: `Bearer ${key}` } });
    await raw.message('connection_ack');
    raw.send(subscribe(`ö"${at}`, query, variables));
    sockets.push(raw);
  }
  await waitFor(() => subscribed === before + operations.length && waiting.length === subscribed);
}

/** One event for all. @returns what each socket was told */
async function beat(number: number, shared = true): Promise<unknown[]> {
  const event = { number, shared };
  await waitFor(() => waiting.length === subscribed);
  const all = waiting;
  waiting = [];
  for (const tell of all) tell(event);
  await waitFor(() => sockets.every(({ received }) => payloadsOf(received).length >= number));
  return sockets.map(({ received }) => payloadsOf(received)[number - 1]);
}
const payloadsOf = (received: RawSocket['received']) =>
  received.filter(({ type }) => type === 'next').map(({ payload }) => payload);

const QUERY =
  'subscription ($after: String, $of: String) { beat(after: $after) { number text echo(of: $of) } }';
const answer = (number: number, echo: string | null = null) => ({
  data: { beat: { number, text: TEXT, echo } },
});

describe('an event for many', () => {
  test('is executed once for all with the same operation and reach, wherever each went on from, and sent under the id of each', async () => {
    await watch(
      { query: QUERY },
      { query: QUERY, variables: { after: 'a' } },
      { query: QUERY, variables: { after: 'b' }, key: OTHER_KEY },
    );
    expect(await beat(1)).toEqual([answer(1), answer(1), answer(1)]);
    expect(executed).toBe(1);
    expect(await beat(2)).toEqual([answer(2), answer(2), answer(2)]);
    expect(executed).toBe(2);
    expect(sockets.map(({ received }) => received.at(-1)?.id)).toEqual(['ö"0', 'ö"1', 'ö"2']);
    expect(await beat(3, false)).toEqual([answer(3), answer(3), answer(3)]);
    expect(executed).toBe(5);
  });

  test('is executed for each that differs in its document, operation, variables, teams or scopes', async () => {
    const two = `${QUERY.replace('subscription', 'subscription A')} subscription B { beat { number } }`;
    await watch(
      { query: QUERY },
      { query: QUERY, variables: { of: 'x' } },
      { query: QUERY, key: TEAMLESS_KEY },
      { query: QUERY, key: READ_KEY },
      { query: 'subscription { beat { number } }' },
    );
    const raw = sockets[4];
    raw?.send({ type: 'subscribe', id: 'A', payload: { query: two, operationName: 'A' } });
    raw?.send({ type: 'subscribe', id: 'B', payload: { query: two, operationName: 'B' } });
    await waitFor(() => waiting.length === 7);
    const [one, echo, more, reader] = await beat(1);
    expect([one, echo, more, reader]).toEqual([answer(1), answer(1, 'x'), answer(1), answer(1)]);
    expect((await raw?.message('next', 'A'))?.payload).toEqual(answer(1));
    expect((await raw?.message('next', 'B'))?.payload).toEqual({ data: { beat: { number: 1 } } });
    expect(executed).toBe(7);
  });

  test('keeps those apart whose place to go on from is used for something else too', async () => {
    const query = 'subscription ($after: String) { beat(after: $after) { number text echo(of: $after) } }';
    await watch({ query, variables: { after: 'a' } }, { query, variables: { after: 'b' } });
    expect(await beat(1)).toEqual([answer(1, 'a'), answer(1, 'b')]);
  });

  test('is executed for each where a field tells who is asking', async () => {
    const query = 'subscription { beat { number who } }';
    await watch({ query }, { query, key: OTHER_KEY });
    const names = (number: number) => ['one', 'another'].map((who) => ({ data: { beat: { number, who } } }));
    expect(await beat(1)).toEqual(names(1));
    expect(await beat(2)).toEqual(names(2));
    // The first time it had to be tried to be found out.
    expect(executed).toBe(3 + 2);
  });

  test('that fails is logged once, and told without the secret to all', async () => {
    const query = 'subscription { beat { number broken } }';
    await watch({ query }, { query });
    const [first, second] = await beat(1);
    expect(first).toMatchObject({ data: { beat: { number: 1, broken: null } } });
    expect(first).toMatchObject({ errors: [{ extensions: { code: 'INTERNAL_SERVER_ERROR' } }] });
    expect(second).toEqual(first);
    expect(JSON.stringify(first)).not.toContain(SECRET);
    expect(server.logged.filter((line) => line.includes('unexpected error'))).toHaveLength(1);
  });

  test('is the same over server-sent events', async () => {
    await watch({ query: QUERY });
    const response = await post(server, { query: QUERY }, { accept: 'text/event-stream', key: OTHER_KEY });
    await waitFor(() => waiting.length === 2);
    await beat(1);
    let text = '';
    const decoder = new TextDecoder();
    const reader = response.body?.getReader();
    while (!/^data: ?\{[^\n]*\n\n/m.test(text)) {
      const { value, done } = (await reader?.read()) ?? { done: true };
      if (done) throw new Error(`the stream has ended: ${response.status} ${text}`);
      text += decoder.decode(value as Uint8Array, { stream: true }); // bytes, as fetch gives them
    }
    await reader?.cancel();
    expect(JSON.parse(/^data: ?(\{[^\n]*)$/m.exec(text)?.[1] ?? '')).toEqual(answer(1));
    expect(executed).toBe(1);
  });
});
