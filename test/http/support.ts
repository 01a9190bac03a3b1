import { buildSchema, GraphQLError, type GraphQLSchema } from 'graphql';
import { pino } from 'pino';
import { createHttpServer, type HttpServer, type HttpServerOptions } from '../../src/http/server.ts';
import type { Context } from '../../src/schema/context.ts';
import type { Viewer } from '../../src/services/viewer.ts';

/** For servers whose tests ask for no media. */
export const NO_MEDIA: HttpServerOptions['media'] = {
  urls: { verify: () => null, verifyProduct: () => null },
  files: { original: async () => 'GONE', product: async () => 'GONE' },
};

export const KEY = `slc_${'k'.repeat(32)}`;
export const READ_KEY = `slc_${'r'.repeat(200)}`;
export const STRANGE_KEY = `slc_${'x'.repeat(40)}`;

const SDL = /* GraphQL */ `
  input Item { id: ID! name: String tags: [String!] }
  type Node { id: ID! name(upper: Boolean): String! child: Node }
  type Query {
    hello: String!
    node: Node!
    viewer: String!
    secretFailure: String
    brokenPromise: String!
    refused: String
    slow(milliseconds: Int!): String
    waiting: String
    size(items: [Item!]!): Int!
  }
  type Mutation { count: Int! }
  type Subscription {
    ticks(to: Int!): Int!
    forever: Int!
    failing: Int!
  }
`;

/** One server with a small schema, and what can be seen of it from inside. */
export interface SmallServer {
  readonly http: HttpServer;
  readonly url: string;
  readonly port: number;
  /** How often the mutation was executed. */
  readonly counted: () => number;
  /** How many `forever` subscriptions are running. */
  readonly running: () => number;
  /** What was logged, a line of JSON each. */
  readonly logged: readonly string[];
  /** From now on the key is unknown. */
  revoke(key: string): void;
  /** From now on the key may do this and no more. */
  limit(key: string, scopes: readonly string[]): void;
  /** How often "slow" or "waiting" has begun. */
  readonly started: () => number;
  /** Answers every "waiting" that has begun. */
  answerWaiting(): void;
  /** How often it was asked who is behind a key. */
  readonly asked: () => number;
  /** The same of one key. */
  readonly askedFor: (key: string) => number;
}

export const SECRET = 'relation "api_keys" does not exist at 10.0.0.7';

interface State {
  counted: number;
  running: number;
  started: number;
  /** Each ends one that waits. */
  waiting: (() => void)[];
}

function resolversOf(state: State): Readonly<Record<string, Readonly<Record<string, unknown>>>> {
  const node = (): unknown => ({ id: '1', name: 'node', child: node });
  return {
    Query: {
      hello: () => 'world',
      node,
      viewer: (_: unknown, __: unknown, { viewer }: Context) => viewer.keyName,
      secretFailure: () => {
        throw new Error(SECRET);
      },
      brokenPromise: () => null,
      refused: () => {
        throw new GraphQLError('There is no such thing.', { extensions: { code: 'NOT_FOUND' } });
      },
      slow: (_: unknown, { milliseconds }: { milliseconds: number }) => {
        state.started++;
        return new Promise((resolve) => setTimeout(() => resolve('done'), milliseconds));
      },
      waiting: () => {
        state.started++;
        return new Promise((resolve) => state.waiting.push(() => resolve('done')));
      },
      size: (_: unknown, { items }: { items: readonly unknown[] }) => items.length,
    },
    Mutation: { count: () => ++state.counted },
  };
}

const streamsOf = (state: State): Readonly<Record<string, unknown>> => ({
  async *ticks(_: unknown, { to }: { to: number }) {
    for (let tick = 1; tick <= to; tick++) yield { ticks: tick };
  },
  forever: () => forever(state),
  async *failing() {
    yield { failing: 1 };
    throw new Error(SECRET);
  },
});

/** One event, and then none until it is ended. */
function forever(state: State): AsyncIterableIterator<{ forever: number }> {
  state.running++;
  let end = () => {};
  let isFirst = true;
  const ended = new Promise<IteratorReturnResult<undefined>>((resolve) => {
    end = () => resolve({ done: true, value: undefined });
  });
  return {
    next: async () => {
      if (!isFirst) return await ended;
      isFirst = false;
      return { done: false, value: { forever: 1 } };
    },
    return: async () => {
      state.running--;
      end();
      return await ended;
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

function smallSchema(state: State): GraphQLSchema {
  const schema = buildSchema(SDL);
  for (const [type, fields] of Object.entries(resolversOf(state))) {
    const known = schema.getTypeMap()[type];
    for (const [name, resolve] of Object.entries(fields))
      if (known && 'getFields' in known) Object.assign(known.getFields()[name] ?? {}, { resolve });
  }
  for (const [name, subscribe] of Object.entries(streamsOf(state)))
    Object.assign(schema.getSubscriptionType()?.getFields()[name] ?? {}, { subscribe });
  return schema;
}

const viewerOf = (scopes: readonly string[]): Viewer => ({
  keyId: '1',
  keyName: scopes.join(),
  scopes,
  defaultTeamId: '1',
  teamIds: ['1'],
});

/** Starts a server on a free port; `settings` replace what it is given otherwise. */
export async function startSmallServer(settings: Partial<HttpServerOptions> = {}): Promise<SmallServer> {
  const state: State = { counted: 0, running: 0, started: 0, waiting: [] };
  const logged: string[] = [];
  const asked: string[] = [];
  const viewers = new Map([
    [KEY, viewerOf(['ADMIN'])],
    [READ_KEY, viewerOf(['READ'])],
  ]);
  const http = createHttpServer({
    host: '127.0.0.1',
    port: 0,
    allowOrigins: ['https://pages.example'],
    log: pino({ level: 'info' }, { write: (line: string) => logged.push(line) }),
    schema: smallSchema(state),
    authenticate: async (key) => {
      asked.push(key);
      return viewers.get(key) ?? null;
    },
    // The small schema reads nothing else of it.
    createContext: (viewer) => ({ viewer }) as Context,
    deadlineSeconds: (field) => (field === 'slow' ? 0.2 : 60),
    media: NO_MEDIA,
    health: async () => ({ database: true }),
    ...settings,
  });
  return {
    http,
    ...(await http.start()),
    counted: () => state.counted,
    running: () => state.running,
    started: () => state.started,
    answerWaiting: () => {
      for (const end of state.waiting.splice(0)) end();
    },
    logged,
    revoke: (key) => void viewers.delete(key),
    limit: (key, scopes) => void viewers.set(key, viewerOf(scopes)),
    asked: () => asked.length,
    askedFor: (key) => asked.filter((other) => other === key).length,
  };
}

export interface GraphQLAnswer {
  readonly data?: Record<string, unknown> | null;
  readonly errors?: readonly { readonly message: string; readonly extensions: Record<string, unknown> }[];
}

/** Sends an operation by POST as JSON, with the good key unless another one is given. */
export function post(
  { url }: { readonly url: string },
  body: unknown,
  { key = KEY, accept = 'application/json', headers = {} }: PostOptions = {},
): Promise<Response> {
  return fetch(`${url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept,
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      ...headers,
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

interface PostOptions {
  readonly key?: string | null;
  readonly accept?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The answer of an operation, whatever its status. */
export async function ask(
  server: { readonly url: string },
  query: string,
  options?: PostOptions,
): Promise<GraphQLAnswer> {
  const response = await post(server, { query }, options);
  return (await response.json()) as GraphQLAnswer;
}

export const codesOf = ({ errors = [] }: GraphQLAnswer) => errors.map(({ extensions }) => extensions.code);
