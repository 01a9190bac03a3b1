import { expect } from 'vitest';
import type { TestClient } from '../support/client.ts';
import { graphql, type ResultOf } from '../support/graphql.ts';
import { waitFor } from '../support/wait.ts';

const STATE = graphql(`
  fragment UrlImport on Import @_unmask {
    id state finished hasFailures startedAt finishedAt
    error { code message }
    counts { found undecided rejected pending uploading validating queued indexing ready skipped failed }
    progress { fraction bytesDone bytesTotal }
    tasks(first: 50) {
      nodes {
        id externalId status outcome skipReason attempts waitingFor nextAttemptAt videoId metadata
        error { code message retryable measured required }
        progress { fraction bytesDone bytesTotal }
        stages { name state fraction startedAt finishedAt error { code } }
        systemMetadata {
          fileName size duration width height mimeType videoCodec audioCodec frameRate rotation hdr
        }
        video { id name description fileName metadata sha256 originalUrl updatedAt }
      }
    }
    failedFiles(first: 50) {
      nodes { externalId fileName name error { code message retryable measured required } }
    }
  }
`);
const START = graphql(
  `mutation UrlStart($input: StartImportInput!) {
    startImport(input: $input) { __typename ... on StartImportSuccess { import { ...UrlImport } } }
  }`,
  [STATE],
);
const LOOK = graphql(`query UrlLook($id: ID!) { import(id: $id) { ...UrlImport } }`, [STATE]);

/** An import with all its tasks and rejected files. */
export type ImportState = ResultOf<typeof STATE>;

/** What of an import is given; the rest is as clients leave it. */
export interface ImportOptions {
  readonly systemName: string;
  readonly videos: readonly {
    readonly externalId: string;
    readonly url: string;
    readonly name?: string;
    readonly description?: string;
    readonly metadata?: Record<string, string | number | boolean>;
    readonly sha256?: string;
  }[];
  readonly incremental?: boolean;
  readonly metadata?: Record<string, string | number | boolean>;
  readonly indexId?: string;
}

/** Options of an import of one video, whose external id is `one`. */
export const one = (
  systemName: string,
  video: Omit<ImportOptions['videos'][number], 'externalId'>,
  more: Partial<ImportOptions> = {},
): ImportOptions => ({ systemName, videos: [{ externalId: 'one', ...video }], ...more });

/** Starts imports from URLs and watches them, and holds each answer to what is true at any time. */
export interface Importer {
  start(options: ImportOptions): Promise<ImportState>;
  /** Asks until it is as wished. */
  until(id: string, is: (state: ImportState) => boolean): Promise<ImportState>;
  end(id: string): Promise<ImportState>;
  /** From its start to its end. */
  bring(options: ImportOptions): Promise<ImportState>;
}

/** How long a machine with a lot to do may take. */
const TIMEOUT = 120_000;

/** Makes an importer of a server. */
export function createImporter(client: TestClient): Importer {
  const importer: Importer = {
    async start({ systemName, videos, ...options }) {
      const named = videos.map((video) => ({ ...video, fileName: `${video.externalId}.mp4` }));
      const input = { from: { videos: { systemName, videos: named } }, ...options };
      const { startImport } = await client.query(START, { input });
      if (startImport.__typename !== 'StartImportSuccess') throw new Error(startImport.__typename);
      return checked(startImport.import);
    },
    until(id, is) {
      const look = async () => {
        const { import: found } = await client.query(LOOK, { id });
        return found && is(checked(found)) && found;
      };
      return waitFor(look, { timeout: TIMEOUT, what: 'the import' });
    },
    end: (id) => importer.until(id, ({ finished }) => finished),
    bring: async (options) => await importer.end((await importer.start(options)).id),
  };
  return importer;
}

function checked(state: ImportState): ImportState {
  const { found, ...counts } = state.counts;
  expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBe(found);
  expect(state.finished).toBe(['SUCCEEDED', 'FAILED'].includes(state.state));
  expect(state.finishedAt !== null).toBe(state.finished);
  return state;
}

/** A video as it is told at any time: the URL to its bytes is another one every ten minutes. */
export const lasting = <Video extends { readonly originalUrl: string }>(video: Video | null | undefined) =>
  video && { ...video, originalUrl: expect.any(String) };

/** The task of an external id; throws where there is none. */
export function taskOf(state: ImportState, externalId: string): ImportState['tasks']['nodes'][number] {
  const found = state.tasks.nodes.find((task) => task.externalId === externalId);
  if (!found) throw new Error(`${externalId} is no task`);
  return found;
}
