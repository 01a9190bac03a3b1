import { expect, onTestFinished } from 'vitest';
import type { TestClient } from '../support/client.ts';
import { graphql, type ResultOf, type VariablesOf } from '../support/graphql.ts';
import type { S3Double, S3Request, Scripted } from '../support/s3.ts';
import { waitFor } from '../support/wait.ts';

const STATE = graphql(`
  fragment ObjectImport on Import @_unmask {
    id state finished hasFailures startedAt finishedAt
    integration { id }
    error { code message }
    counts { found undecided rejected pending uploading validating queued indexing ready skipped failed canceled }
  }
`);
export const TASK = graphql(`
  fragment ObjectTask on Task @_unmask {
    id sourceKey externalId fileName name status outcome skipReason reason attempts waitingFor nextAttemptAt
    videoId metadata
    import { id }
    error { code message retryable measured required }
    progress { fraction bytesDone bytesTotal }
    video { id name description fileName metadata sha256 originalUrl }
  }
`);
const START = graphql(
  `mutation ObjectStart($input: StartImportInput!) {
    startImport(input: $input) {
      __typename
      ... on Error { message }
      ... on StartImportSuccess { import { ...ObjectImport } }
      ... on InvalidInputError { issues { path code message } }
      ... on NotFoundError { path }
      ... on SourceUnavailableError { code }
      ... on ImportAlreadyRunningError { runningImport { id state } }
    }
  }`,
  [STATE],
);
const LOOK = graphql(`query ObjectLook($id: ID!) { import(id: $id) { ...ObjectImport } }`, [STATE]);
const TASKS = graphql(
  `query ObjectTasks($id: ID!, $after: String) {
    import(id: $id) { tasks(first: 100, after: $after) { totalCount nodes { ...ObjectTask } pageInfo { hasNextPage endCursor } } }
  }`,
  [TASK],
);
const FAILED_FILES = graphql(`
  query ObjectFailedFiles($id: ID!, $after: String) {
    import(id: $id) {
      failedFiles(first: 100, after: $after) {
        totalCount nodes { sourceKey fileName name error { code message } } pageInfo { hasNextPage endCursor }
      }
    }
  }
`);
const INTEGRATE = graphql(`
  mutation ObjectIntegration($input: CreateIntegrationInput!) {
    createIntegration(input: $input) {
      __typename ... on Error { message } ... on CreateIntegrationSuccess { integration { id } }
    }
  }
`);

export type ObjectImport = ResultOf<typeof STATE>;
export type ObjectTask = ResultOf<typeof TASK>;
export type StartInput = VariablesOf<typeof START>['input'];
export type StartResult = ResultOf<typeof START>['startImport'];
export type FailedFile = NonNullable<ResultOf<typeof FAILED_FILES>['import']>['failedFiles']['nodes'][number];
type Location = VariablesOf<typeof INTEGRATE>['input']['location'];

/** Starts imports from integrations and watches them, and holds each answer to what is true at any time. */
export interface ObjectImporter {
  /** Sets a source up. @returns its id */
  integrate(location: Location): Promise<string>;
  /** Whatever startImport answers. */
  ask(input: StartInput): Promise<StartResult>;
  /** @throws Error when that is no import */
  start(input: StartInput): Promise<ObjectImport>;
  until(id: string, is: (state: ObjectImport) => boolean): Promise<ObjectImport>;
  end(id: string): Promise<ObjectImport>;
  /** From its start to its end. */
  bring(input: StartInput): Promise<Brought>;
  /** All of them, in their order. */
  tasks(id: string): Promise<ObjectTask[]>;
  failedFiles(id: string): Promise<FailedFile[]>;
}

/** An import that has finished, with all that came of it, by their keys. */
export interface Brought {
  readonly state: ObjectImport;
  readonly tasks: ReadonlyMap<string, ObjectTask>;
  readonly failed: ReadonlyMap<string, FailedFile>;
}

/** How long a machine with a lot to do may take. */
const TIMEOUT = 120_000;

/** Makes an importer of a server. */
export function createObjectImporter(client: Pick<TestClient, 'query'>): ObjectImporter {
  const importer: ObjectImporter = {
    async integrate(location) {
      const input = { name: 'Source', location };
      const { createIntegration } = await client.query(INTEGRATE, { input });
      if (createIntegration.__typename === 'CreateIntegrationSuccess')
        return createIntegration.integration.id;
      throw new Error(JSON.stringify(createIntegration));
    },
    ask: async (input) => (await client.query(START, { input })).startImport,
    async start(input) {
      const result = await importer.ask(input);
      if (result.__typename === 'StartImportSuccess') return checked(result.import);
      throw new Error(JSON.stringify(result));
    },
    until(id, is) {
      const look = async () => {
        const { import: found } = await client.query(LOOK, { id });
        return found && is(checked(found)) && found;
      };
      return waitFor(look, { timeout: TIMEOUT, what: 'the import' });
    },
    end: (id) => importer.until(id, ({ finished }) => finished),
    async bring(input) {
      const { id } = await importer.start(input);
      const state = await importer.end(id);
      const [tasks, failed] = [await importer.tasks(id), await importer.failedFiles(id)];
      expect(tasks.length + failed.length).toBe(state.counts.found);
      return { state, tasks: byKey(tasks), failed: byKey(failed) };
    },
    tasks: (id) =>
      everyPage(async (after) => (await client.query(TASKS, { id, after })).import?.tasks ?? null),
    failedFiles: (id) =>
      everyPage(
        async (after) => (await client.query(FAILED_FILES, { id, after })).import?.failedFiles ?? null,
      ),
  };
  return importer;
}

function byKey<T extends { readonly sourceKey: string | null }>(items: readonly T[]): ReadonlyMap<string, T> {
  const map = new Map(items.map((item) => [item.sourceKey ?? '', item]));
  return map;
}

interface Page<T> {
  readonly totalCount: number;
  readonly nodes: readonly T[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
}

async function everyPage<T>(read: (after: string | null) => Promise<Page<T> | null>): Promise<T[]> {
  const all: T[] = [];
  for (let after: string | null = null; ; ) {
    const page: Page<T> | null = await read(after);
    if (page === null) throw new Error('there is no such import');
    all.push(...page.nodes);
    after = page.pageInfo.endCursor;
    if (page.pageInfo.hasNextPage) continue;
    expect(all).toHaveLength(page.totalCount);
    return all;
  }
}

function checked(state: ObjectImport): ObjectImport {
  expectSum(state.counts);
  expect(state.finished).toBe(['SUCCEEDED', 'FAILED'].includes(state.state));
  expect(state.finishedAt !== null).toBe(state.finished);
  return state;
}

/** That what was found is what became of it. */
export function expectSum({ found, ...counts }: ObjectImport['counts']): void {
  expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBe(found);
}

/** An import of all that an integration holds. */
export const allOf = (
  integrationId: string,
  { prefix, ...options }: { readonly prefix?: string } & Partial<Omit<StartInput, 'from'>> = {},
): StartInput => ({
  from: { integration: { integrationId, ...(prefix === undefined ? {} : { prefix }) } },
  ...options,
});

/** Where a bucket of the double is, as an integration is told. */
export const bucketAt = (s3: S3Double, bucket: string, prefix?: string): Location => ({
  s3: {
    bucket,
    endpoint: s3.endpoint,
    forcePathStyle: true,
    credentials: { accessKeyId: s3.accessKeyId, secretAccessKey: s3.secretAccessKey },
    ...(prefix === undefined ? {} : { prefix }),
  },
});

type Asked = Pick<S3Request, 'operation' | 'headers'>;

/** Whether a request is for the content of an object. */
export const isGet = ({ operation }: Asked): boolean => operation === 'GetObject';
/** A look asks for parts of an object, */
export const isObjectLook = (request: Asked): boolean =>
  isGet(request) && /^bytes=\d+-\d+$/.test(request.headers.range ?? '');
/** and a transfer for all of it or for its rest. */
export const isTransfer = (request: Asked): boolean => isGet(request) && !isObjectLook(request);

/** Scripts a double until the test is over. @returns ends it before */
export function scripted(s3: S3Double, handle: (request: S3Request) => Scripted | undefined): () => void {
  const end = s3.script(handle);
  onTestFinished(end);
  return end;
}

/** The one that a map has; throws where there is none. */
export function at<T>(map: ReadonlyMap<string, T>, key: string): T {
  const found = map.get(key);
  if (found === undefined) throw new Error(`there is no ${JSON.stringify(key)}`);
  return found;
}

/** How often each value occurs. */
export function tally(values: Iterable<string | null | undefined>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const value of values) counts[String(value)] = (counts[String(value)] ?? 0) + 1;
  return counts;
}
