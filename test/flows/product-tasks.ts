import type { TestClient } from '../support/client.ts';
import { graphql, type ResultOf, type VariablesOf } from '../support/graphql.ts';
import { waitFor } from '../support/wait.ts';

const VIDEO = graphql(`
  fragment ProductVideo on Video @_unmask {
    id sha256 indexedAt posterUrl storyboardUrl scanType
    hls { status videoUrl thumbnailUrls updatedAt }
    quality { overall metrics { name mean score label } }
    scenes { start end thumbnailUrl }
  }
`);
const TASK = graphql(
  `fragment ProductTask on Task @_unmask {
    id videoId status outcome skipReason reason attempts waitingFor finishedAt name systemName externalId
    import { id }
    error { code message retryable }
    progress { fraction }
    stages { name state fraction startedAt finishedAt error { code message retryable } }
    hls { status videoUrl thumbnailUrls }
    video { ...ProductVideo }
  }`,
  [VIDEO],
);
const CREATE = graphql(
  `mutation ProductCreate($input: CreateTaskInput!) {
    createTask(input: $input) { __typename ... on Error { message } ... on CreateTaskSuccess { task { ...ProductTask } } }
  }`,
  [TASK],
);
const REINDEX = graphql(
  `mutation ProductReindex($input: ReindexVideoInput!) {
    reindexVideo(input: $input) {
      __typename
      ... on Error { message }
      ... on ReindexVideoSuccess { task { ...ProductTask } }
      ... on InvalidInputError { issues { path code } }
      ... on NotFoundError { path }
    }
  }`,
  [TASK],
);
const RETRY = graphql(
  `mutation ProductRetry($id: ID!) {
    retryTask(id: $id) {
      __typename
      ... on Error { message }
      ... on RetryTaskSuccess { task { ...ProductTask } }
      ... on TaskCannotBeRetriedError { status }
    }
  }`,
  [TASK],
);
const LOOK = graphql(`query ProductLook($id: ID!) { task(id: $id) { ...ProductTask } }`, [TASK]);
const LOOK_AT_VIDEO = graphql(`query ProductVideoLook($id: ID!) { video(id: $id) { ...ProductVideo } }`, [
  VIDEO,
]);
const PROGRESS = graphql(
  `subscription ProductProgress($id: ID!) { taskProgress(id: $id) { task { ...ProductTask } } }`,
  [TASK],
);

export type ProductTask = ResultOf<typeof TASK>;
export type ProductVideo = ResultOf<typeof VIDEO>;

/** How long a machine with a lot to do may take, of real media work too. */
const TIMEOUT = 120_000;

/** Has products made, and looks at what comes of that. */
export function createProducer(client: Pick<TestClient, 'query' | 'overWebSocket'>) {
  const look = async (id: string): Promise<ProductTask> => {
    const { task } = await client.query(LOOK, { id });
    if (!task) throw new Error(`there is no task ${id}`);
    return task;
  };
  const until = (id: string, isSo: (task: ProductTask) => boolean) =>
    waitFor(
      async () => {
        const task = await look(id);
        return isSo(task) && task;
      },
      { timeout: TIMEOUT, what: 'the task' },
    );
  return {
    look,
    until,
    end: (id: string) => until(id, ({ finishedAt }) => finishedAt !== null),
    async create(input: VariablesOf<typeof CREATE>['input']): Promise<ProductTask> {
      const { createTask } = await client.query(CREATE, { input });
      if (createTask.__typename !== 'CreateTaskSuccess') throw new Error(JSON.stringify(createTask));
      return createTask.task;
    },
    askReindex: async (input: VariablesOf<typeof REINDEX>['input']) =>
      (await client.query(REINDEX, { input })).reindexVideo,
    async reindex(
      id: string,
      options: Omit<VariablesOf<typeof REINDEX>['input'], 'id'> = {},
    ): Promise<ProductTask> {
      const { reindexVideo } = await client.query(REINDEX, { input: { id, ...options } });
      if (reindexVideo.__typename !== 'ReindexVideoSuccess') throw new Error(JSON.stringify(reindexVideo));
      return reindexVideo.task;
    },
    retry: async (id: string) => (await client.query(RETRY, { id })).retryTask,
    async video(id: string): Promise<ProductVideo | null> {
      return (await client.query(LOOK_AT_VIDEO, { id })).video;
    },
    /** Every state of a task that is told of, to its end. */
    async follow(id: string): Promise<ProductTask[]> {
      const states: ProductTask[] = [];
      for await (const { taskProgress } of client.overWebSocket(PROGRESS, { id }))
        states.push(taskProgress.task);
      return states;
    },
  };
}

/** The state of each stage, by its name. */
export const statesOf = ({ stages }: Pick<ProductTask, 'stages'>) =>
  Object.fromEntries(stages.map(({ name, state }) => [name, state]));
