import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { z } from 'zod';
import type { DemoEvent } from './documents.ts';
import { IMPORT_PROGRESS, importProgressData } from './documents.ts';

/** An answer of the server that the client cannot go on from. */
export class DemoClientError extends Error {
  override readonly name = 'DemoClientError';
}

/** The connection broke off; the same subscription may be made again. */
export class LostConnectionError extends Error {
  override readonly name = 'LostConnectionError';
}

/** One subscription: to which import, from which cursor on, and who asks. */
export interface SubscribeOptions {
  readonly endpoint: string;
  readonly authorization: string;
  readonly variables: { readonly id: string; readonly after: string | null };
  readonly signal: AbortSignal;
}

/**
 * One subscription on a WebSocket of its own; ends with the import, or quietly with the signal.
 * @throws {DemoClientError} when the server refuses.
 * @throws {LostConnectionError} when the connection fails or breaks off.
 */
export async function* subscribeToImport(options: SubscribeOptions): AsyncGenerator<DemoEvent> {
  const { endpoint, authorization, variables, signal } = options;
  const client = createClient({
    url: endpoint.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket,
    connectionParams: { authorization },
    // The library would repeat the subscription with the same variables; ours goes on from the last cursor.
    retryAttempts: 0,
  });
  const results = client.iterate({ query: IMPORT_PROGRESS, variables });
  const end = () => void results.return?.();
  signal.addEventListener('abort', end, { once: true });
  try {
    if (signal.aborted) return;
    for await (const result of results) {
      // What had come before the abort is still in line.
      if (signal.aborted) return;
      if (result.errors !== undefined) throw result.errors;
      yield importProgressData.parse(result.data).importProgress;
    }
  } catch (error) {
    throw toClientError(error);
  } finally {
    signal.removeEventListener('abort', end);
    await results.return?.();
  }
}

const graphqlErrors = z.array(z.object({ message: z.string() }));
const closeEvent = z.object({ code: z.number(), reason: z.string() });
const errorEvent = z.object({ message: z.string() });

/** graphql-ws throws GraphQL errors as a list, and whatever the socket reports as it is. */
function toClientError(error: unknown): unknown {
  const refused = graphqlErrors.safeParse(error);
  if (refused.success) return new DemoClientError(refused.data.map(({ message }) => message).join('; '));
  const closed = closeEvent.safeParse(error);
  if (closed.success) {
    const { code, reason } = closed.data;
    // 44xx: the server refuses this client (graphql-transport-ws).
    if (code >= 4400 && code < 4499) return new DemoClientError(`The server closed with ${code}: ${reason}`);
    return new LostConnectionError(`The connection closed with ${code}`);
  }
  if (error instanceof Error) return error;
  const failed = errorEvent.safeParse(error);
  return new LostConnectionError(failed.success ? failed.data.message : 'The connection failed');
}
