import type { ServerResponse } from 'node:http';
import { createContentTypes } from './content-types.ts';
import type { DocumentCache } from './document-cache.ts';
import { createJsonPath, type JsonAnswer, type JsonRequest, type Outcome } from './json-path.ts';
import type { Yoga } from './yoga.ts';

/** Whoever waits for an answer. */
export interface Client {
  /** Whether they have gone away. */
  readonly hasLeft: () => boolean;
  /** Aborted when they go away. */
  readonly signal: () => AbortSignal;
}

/** Watches whether a client goes away before it has its answer. */
export function watchClient(response: ServerResponse): Client {
  const { socket } = response.req;
  // Of an answer that waits behind another one only its connection is closed.
  const hasLeft = () => response.destroyed || socket.destroyed;
  return {
    hasLeft,
    // Made for those who ask only: to abort one takes long, and every answer ends with a close.
    signal() {
      const controller = new AbortController();
      const end = () => {
        controller.abort();
        response.off('close', end);
        socket.off('close', end);
      };
      if (hasLeft()) controller.abort();
      else for (const each of [response, socket]) each.once('close', end);
      return controller.signal;
    },
  };
}

/** Answers a request to whoever waits for it; 'gone' when nobody does any more. */
export type Answer = (request: JsonRequest, client: Client) => Promise<JsonAnswer | Response | 'gone'>;

/** Answers requests, by the short way where that can be, through Yoga otherwise. */
export function createAnswer(yoga: Yoga, documents: DocumentCache, shortPath: boolean): Answer {
  const contentTypeFor = createContentTypes((request) => askYoga(yoga, request));
  const jsonPath = createJsonPath(yoga, contentTypeFor, documents);
  return async (request, client) => {
    try {
      const answered = shortPath ? await jsonPath(request) : 'everything';
      if (client.hasLeft()) return 'gone';
      if (answered === 'everything') return await askYoga(yoga, request, client.signal());
      return 'outcome' in answered
        ? await askYoga(yoga, withOutcome(request, answered.outcome), client.signal())
        : answered;
    } catch (error) {
      // What Yoga was doing for a client that has gone away ends with an error that is nobody's.
      if (client.hasLeft()) return 'gone';
      throw error;
    }
  };
}

/** A request for what was executed already: its own body is not looked at again. */
function withOutcome({ accept, context }: JsonRequest, outcome: Outcome): JsonRequest {
  return { body: '{"query":"{__typename}"}', accept, context: { ...context, outcome } };
}

async function askYoga(
  yoga: Yoga,
  { body, accept, context }: JsonRequest,
  signal?: AbortSignal,
): Promise<Response> {
  const headers = { accept, 'content-type': 'application/json' };
  const request = { method: 'POST', headers, body, ...(signal && { signal }) };
  return await yoga.fetch('http://localhost/graphql', request, { ...context });
}
