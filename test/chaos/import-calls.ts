import { createTestClient, type TestClient } from '../support/client.ts';
import { graphql } from '../support/graphql.ts';
import { waitFor } from '../support/wait.ts';
import type { Fleet } from './fleet.ts';
import { CHAOS_KEY } from './program-settings.ts';
import type { SmallVideos } from './small-videos.ts';

const START = graphql(`
  mutation ChaosStart($input: StartImportInput!) {
    startImport(input: $input) { __typename ... on Error { message } ... on StartImportSuccess { import { id } } }
  }
`);
const LOOK = graphql(`
  query ChaosLook($id: ID!) {
    import(id: $id) { state finished counts { found ready rejected skipped failed } }
  }
`);

const PATIENCE_MS = 300_000;
const CALL_MS = 60_000;

/**
 * Starts an import of so many videos as a client does that repeats what was not answered, with the same key.
 * @returns its id
 */
export async function startImport(fleet: Fleet, videos: SmallVideos, count: number): Promise<string> {
  const entries = Array.from({ length: count }, (_, number) => ({
    externalId: `video-${number}`,
    url: videos.url(number),
    fileName: `video-${number}.mp4`,
  }));
  const input = { from: { videos: { systemName: 'chaos', videos: entries } }, idempotencyKey: 'chaos' };
  return await persist(fleet, async (client) => {
    const { startImport: result } = await client.query(START, { input });
    if (result.__typename === 'StartImportSuccess') return result.import.id;
    throw new Error(`${result.__typename}: ${'message' in result ? result.message : ''}`);
  });
}

/** What a client sees of the import that has finished. */
export interface FinishedImport {
  readonly state: string;
  readonly counts: Readonly<Record<string, unknown>>;
}

/** Asks until the import has finished. */
export function untilFinished(fleet: Fleet, id: string): Promise<FinishedImport> {
  return persist(fleet, async (client) => {
    const { import: found } = await client.query(LOOK, { id });
    return found?.finished === true && { state: found.state, counts: { ...found.counts } };
  });
}

/** Calls the API until it gives an answer other than false, whatever becomes of it meanwhile. */
export async function persist<T>(fleet: Fleet, call: (client: TestClient) => Promise<T | false>): Promise<T> {
  let last: unknown = 'there was no API';
  const attempt = async (): Promise<T | false> => {
    const url = fleet.apiUrl();
    if (url === null) return false;
    try {
      return await within(CALL_MS, call(createTestClient({ url, key: CHAOS_KEY })));
    } catch (error) {
      last = error;
      return false;
    }
  };
  try {
    // Anything but false is an answer.
    return (await waitFor(attempt, { timeout: PATIENCE_MS })) as T;
  } catch {
    throw new Error('the API gave no answer in five minutes', { cause: last });
  }
}

/** A process that was killed may leave a connection on which nothing comes any more. */
async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${ms} ms`)), ms);
  });
  return await Promise.race([work, late]).finally(() => clearTimeout(timer));
}
