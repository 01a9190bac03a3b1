import type { TadaDocumentNode } from 'gql.tada';
import { print } from 'graphql';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';

export interface GraphQLFailure {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions?: { readonly code?: string; readonly errorId?: string };
}

export interface Answer<Result> {
  readonly data?: Result | null;
  readonly errors?: readonly GraphQLFailure[];
}

/** A client as anybody could write one: HTTP, server-sent events and WebSocket against a URL, with a key. */
export interface TestClient {
  /** The whole answer, errors included. */
  send<Result, Variables>(
    document: TadaDocumentNode<Result, Variables>,
    variables?: Variables,
  ): Promise<Answer<Result>>;
  /** The data; throws if there are errors. */
  query<Result, Variables>(
    document: TadaDocumentNode<Result, Variables>,
    variables?: Variables,
  ): Promise<Result>;
  /** The events of a subscription over WebSocket, until it completes; ends the socket when the loop is left. */
  overWebSocket<Result, Variables>(
    document: TadaDocumentNode<Result, Variables>,
    variables?: Variables,
  ): AsyncGenerator<Result>;
  /** The same over server-sent events. */
  overEvents<Result, Variables>(
    document: TadaDocumentNode<Result, Variables>,
    variables?: Variables,
  ): AsyncGenerator<Result>;
}

function dataOf<Result>(answer: Answer<Result>): Result {
  if (answer.errors || answer.data == null)
    throw new Error(`unexpected answer: ${JSON.stringify(answer.errors ?? answer)}`);
  return answer.data;
}

/** Makes a client of the server at `url` (its base, without /graphql). */
export function createTestClient({ url, key }: { readonly url: string; readonly key: string }): TestClient {
  const endpoint = `${url}/graphql`;
  const authorization = `Bearer ${key}`;
  const post = (document: object, variables: unknown, accept: string, signal?: AbortSignal) =>
    fetch(endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept, authorization },
      body: JSON.stringify({ query: print(document as never), variables }),
      ...(signal ? { signal } : {}),
    });
  const send: TestClient['send'] = async (document, variables) => {
    const response = await post(document, variables, 'application/json');
    return (await response.json()) as never; // typed by the document
  };
  return {
    send,
    query: async (document, variables) => dataOf(await send(document, variables)),
    async *overWebSocket(document, variables) {
      const client = createClient({
        url: endpoint.replace('http', 'ws'),
        webSocketImpl: WebSocket,
        connectionParams: { authorization },
        retryAttempts: 0,
      });
      try {
        const events = client.iterate({ query: print(document as never), variables: variables as never });
        for await (const event of events) yield dataOf(event as Answer<never>);
      } finally {
        await client.dispose();
      }
    },
    async *overEvents(document, variables) {
      const controller = new AbortController();
      const response = await post(document, variables, 'text/event-stream', controller.signal);
      if (!response.ok || response.body === null)
        throw new Error(`${response.status} ${await response.text()}`);
      try {
        for await (const { event, data } of readEvents(
          response.body as unknown as AsyncIterable<Uint8Array>,
        )) {
          if (event === 'complete') return;
          if (event === 'next') yield dataOf(JSON.parse(data) as Answer<never>);
        }
        throw new Error('the stream ended without a complete event');
      } finally {
        controller.abort();
      }
    },
  };
}

/** Server-sent events of a body, as the HTML specification frames them. */
async function* readEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<{ event: string; data: string }> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const lines = text.slice(0, end).split('\n');
      text = text.slice(end + 2);
      const field = (name: string) =>
        lines
          .filter((line) => line.startsWith(`${name}:`))
          .map((line) => line.slice(name.length + 1).trimStart())
          .join('\n');
      if (lines.some((line) => line.startsWith('event:')))
        yield { event: field('event'), data: field('data') };
    }
  }
}
