import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { DemoEvent, StartedImport } from './documents.ts';
import { START_IMPORT, startImportData } from './documents.ts';
import { DemoClientError, LostConnectionError, subscribeToImport } from './subscribe.ts';

export { DemoClientError } from './subscribe.ts';

/** Where the server is, and how the client is known to it. */
export interface DemoClientOptions {
  /** The URL of the server's GraphQL endpoint; WebSockets go to the same. */
  readonly endpoint: string;
  readonly apiKey: string;
}

/** One video to be imported by URL. */
export interface DemoVideo {
  readonly externalId: string;
  readonly url: string;
  readonly fileName: string;
  readonly name?: string;
}

/** A client as anybody could write one: it knows the server by its public address alone. */
export interface DemoClient {
  /** @throws {DemoClientError} with the server's own words when it does not start. */
  startImport(systemName: string, videos: readonly DemoVideo[]): Promise<StartedImport>;
  /**
   * Each event of an import's progress; ends when the import has. After a lost connection it goes on from the last
   * event's cursor.
   * @throws {DemoClientError} when the server refuses, or cannot be reached any more.
   */
  watchImport(id: string, signal: AbortSignal): AsyncGenerator<DemoEvent>;
}

/** How often in a row a lost connection is made anew, and how long that waits (ms, doubled each time). */
const RECONNECTS = 8;
const RECONNECT_MS = 250;

const response = z.object({
  data: z.unknown().optional(),
  errors: z.array(z.object({ message: z.string() })).optional(),
});

/** Makes a client; nothing is connected yet. */
export function createDemoClient({ endpoint, apiKey }: DemoClientOptions): DemoClient {
  const authorization = `Bearer ${apiKey}`;

  return {
    startImport: async (systemName, videos) => {
      const answer = await fetch(endpoint, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json', authorization },
        body: JSON.stringify({
          query: START_IMPORT,
          variables: { input: { from: { videos: { systemName, videos } } } },
        }),
      });
      return readStartedImport(await answer.json());
    },

    watchImport: async function* (id, signal) {
      let after: string | null = null;
      for (let failures = 0; ; ) {
        const events = subscribeToImport({ endpoint, authorization, variables: { id, after }, signal });
        try {
          for await (const event of events) {
            failures = 0;
            after = event.cursor;
            yield event;
          }
          signal.throwIfAborted();
          return;
        } catch (error) {
          signal.throwIfAborted();
          failures += 1;
          if (!(error instanceof LostConnectionError) || failures > RECONNECTS) throw error;
          await delay(RECONNECT_MS * 2 ** (failures - 1) * (0.5 + Math.random()), undefined, { signal });
        }
      }
    },
  };
}

function readStartedImport(body: unknown): StartedImport {
  const { data, errors } = response.parse(body);
  if (errors !== undefined) throw new DemoClientError(errors.map((error) => error.message).join('; '));
  const { startImport } = startImportData.parse(data);
  if (startImport.import !== undefined) return startImport.import;
  const issues = (startImport.issues ?? []).map((issue) => ` ${issue.path.join('.')}: ${issue.message}`);
  throw new DemoClientError(`${startImport.__typename}: ${startImport.message ?? ''}${issues.join(';')}`);
}
