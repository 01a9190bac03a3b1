import type { TestClient } from '../support/client.ts';
import { graphql, type ResultOf, type VariablesOf } from '../support/graphql.ts';
import { waitFor } from '../support/wait.ts';

const IMPORT = graphql(`
  fragment CanceledImport on Import @_unmask {
    id state finished hasFailures runs startedAt finishedAt updatedAt
    error { code }
    counts { found undecided rejected pending uploading validating queued indexing ready skipped failed canceled }
    progress { fraction }
  }
`);
const TASK = graphql(`
  fragment CanceledTask on Task @_unmask {
    id externalId sourceKey name status outcome skipReason reason attempts waitingFor nextAttemptAt startedAt finishedAt
    videoId
    error { code }
    progress { fraction bytesDone }
    stages { name state }
    video { id name sha256 indexedAt }
  }
`);
const START = graphql(
  `mutation CancelStart($input: StartImportInput!) {
    startImport(input: $input) {
      __typename ... on Error { message } ... on StartImportSuccess { import { ...CanceledImport } }
    }
  }`,
  [IMPORT],
);
const LOOK = graphql(
  `query CancelLook($id: ID!) {
    import(id: $id) { ...CanceledImport tasks(first: 100) { totalCount nodes { ...CanceledTask } } failedFiles(first: 1) { totalCount } }
  }`,
  [IMPORT, TASK],
);
const LOOK_AT_TASK = graphql(`query CancelTaskLook($id: ID!) { task(id: $id) { ...CanceledTask } }`, [TASK]);
const CREATE_TASK = graphql(`
  mutation CancelCreateTask($input: CreateTaskInput!) {
    createTask(input: $input) { __typename ... on CreateTaskSuccess { task { id } } }
  }
`);
const CANCEL_IMPORT = graphql(
  `mutation CancelImport($id: ID!) {
    cancelImport(id: $id) {
      __typename
      ... on CancelImportSuccess { import { ...CanceledImport } }
      ... on NotFoundError { message path }
    }
  }`,
  [IMPORT],
);
const RETRY_IMPORT = graphql(
  `mutation RetryImport($id: ID!) {
    retryImport(id: $id) {
      __typename
      ... on RetryImportSuccess { import { ...CanceledImport } }
      ... on NotFoundError { message path }
      ... on ImportCannotBeRetriedError { message state }
      ... on ImportAlreadyRunningError { message runningImport { id state } }
    }
  }`,
  [IMPORT],
);
const CANCEL_TASK = graphql(
  `mutation CancelTask($id: ID!) {
    cancelTask(id: $id) {
      __typename
      ... on CancelTaskSuccess { task { ...CanceledTask } }
      ... on NotFoundError { message path }
    }
  }`,
  [TASK],
);
const RETRY_TASK = graphql(
  `mutation RetryTask($id: ID!) {
    retryTask(id: $id) {
      __typename
      ... on RetryTaskSuccess { task { ...CanceledTask } }
      ... on NotFoundError { message path }
      ... on TaskCannotBeRetriedError { message status }
      ... on ImportAlreadyRunningError { message runningImport { id } }
    }
  }`,
  [TASK],
);
const COUNTS = graphql(`
  query CancelCounts {
    imports(first: 100) {
      nodes { id counts { found undecided rejected pending uploading validating queued indexing ready skipped failed canceled } }
    }
  }
`);

/** An import with its first hundred tasks. */
export type Looked = NonNullable<ResultOf<typeof LOOK>['import']>;
export type Task = ResultOf<typeof TASK>;

/** What an import by URL is given. */
export interface VideoEntry {
  readonly externalId: string;
  readonly url: string;
  readonly name?: string;
}
export interface StartOptions {
  readonly systemName: string;
  readonly videos: readonly VideoEntry[];
  readonly incremental?: boolean;
}

/** How long a machine with a lot to do may take. */
const TIMEOUT = 120_000;

/** The calls that cancel and retry, and what there is around them, of one client. */
export type Canceler = ReturnType<typeof createCanceler>;

/** Makes one of a client. `told` hears of every import and task whose id the client gets. */
export function createCanceler(
  client: Pick<TestClient, 'query'>,
  told: (kind: 'imports' | 'tasks', id: string) => void = () => {},
) {
  const look = async (id: string): Promise<Looked> => {
    const { import: found } = await client.query(LOOK, { id });
    if (found === null) throw new Error(`there is no import ${id}`);
    return found;
  };
  const lookAtTask = async (id: string): Promise<Task> => {
    const { task } = await client.query(LOOK_AT_TASK, { id });
    if (task === null) throw new Error(`there is no task ${id}`);
    return task;
  };
  const until = (id: string, is: (found: Looked) => boolean): Promise<Looked> =>
    waitFor(
      async () => {
        const found = await look(id);
        return is(found) && found;
      },
      { timeout: TIMEOUT, what: 'the import' },
    );
  /** @throws Error when no import comes of it */
  const startWith = async (input: VariablesOf<typeof START>['input']) => {
    const { startImport } = await client.query(START, { input });
    if (startImport.__typename !== 'StartImportSuccess') throw new Error(JSON.stringify(startImport));
    told('imports', startImport.import.id);
    return startImport.import;
  };
  return {
    look,
    lookAtTask,
    until,
    end: (id: string) => until(id, ({ finished }) => finished),
    endOfTask: (id: string) =>
      waitFor(
        async () => {
          const task = await lookAtTask(id);
          return task.finishedAt !== null && task;
        },
        { timeout: TIMEOUT, what: 'the end of the task' },
      ),
    startWith,
    /** An import by URL. */
    start({ systemName, videos, incremental = true }: StartOptions) {
      const entries = videos.map((video) => ({ ...video, fileName: `${video.externalId}.mp4` }));
      return startWith({ from: { videos: { systemName, videos: entries } }, incremental });
    },
    /** One video without an import. @returns the task's id */
    async createTask(input: VariablesOf<typeof CREATE_TASK>['input']): Promise<string> {
      const { createTask } = await client.query(CREATE_TASK, { input });
      if (createTask.__typename !== 'CreateTaskSuccess') throw new Error(createTask.__typename);
      told('tasks', createTask.task.id);
      return createTask.task.id;
    },
    cancel: async (id: string) => (await client.query(CANCEL_IMPORT, { id })).cancelImport,
    retry: async (id: string) => (await client.query(RETRY_IMPORT, { id })).retryImport,
    cancelTask: async (id: string) => (await client.query(CANCEL_TASK, { id })).cancelTask,
    retryTask: async (id: string) => (await client.query(RETRY_TASK, { id })).retryTask,
    async counts() {
      const { imports } = await client.query(COUNTS);
      return new Map(imports.nodes.map(({ id, counts }) => [id, { ...counts }]));
    },
  };
}

type Named = { readonly __typename: string };

/** The import that a call answered with; throws when it answered otherwise. */
export function importOf<R extends Named>(result: R): Extract<R, { readonly import: unknown }>['import'] {
  if (!('import' in result)) throw new Error(JSON.stringify(result));
  return result.import as never; // Only the member that has an import has one.
}

/** The task that a call answered with; throws when it answered otherwise. */
export function taskOf<R extends Named>(result: R): Extract<R, { readonly task: unknown }>['task'] {
  if (!('task' in result)) throw new Error(JSON.stringify(result));
  return result.task as never; // Only the member that has a task has one.
}

/** A task of an import by its external id; throws where there is none. */
export function named(found: Looked, externalId: string): Task {
  const task = found.tasks.nodes.find((one) => one.externalId === externalId);
  if (task === undefined) throw new Error(`${externalId} is no task`);
  return task;
}
