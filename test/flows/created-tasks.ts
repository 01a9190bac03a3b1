import type { TestClient } from '../support/client.ts';
import { graphql, type ResultOf, type VariablesOf } from '../support/graphql.ts';
import { expectNoStepBack } from './live.ts';
import { type ObjectTask, TASK } from './object-imports.ts';

const CREATE = graphql(
  `mutation CreateTask($input: CreateTaskInput!) {
    createTask(input: $input) {
      __typename
      ... on Error { message }
      ... on CreateTaskSuccess { task { ...ObjectTask } }
      ... on InvalidInputError { issues { path code } }
      ... on NotFoundError { path }
    }
  }`,
  [TASK],
);
const PROGRESS = graphql(
  `subscription CreatedTaskProgress($id: ID!) { taskProgress(id: $id) { task { ...ObjectTask outcome } } }`,
  [TASK],
);

export type CreateInput = VariablesOf<typeof CREATE>['input'];
export type CreateResult = ResultOf<typeof CREATE>['createTask'];

/** Makes tasks of their own and follows them. */
export interface TaskCreator {
  /** Whatever createTask answers. */
  ask(input: CreateInput): Promise<CreateResult>;
  /** @throws Error when that is no task */
  create(input: CreateInput): Promise<ObjectTask>;
  /** Follows a task over WebSocket. @param states grows as it goes. @returns how it stood each time, up to its end */
  follow(task: { readonly id: string }, states?: ObjectTask[]): Promise<ObjectTask[]>;
  /** From its start to its end. */
  bring(input: CreateInput): Promise<ObjectTask>;
}

/** Makes a creator of tasks on a server. */
export function createTaskCreator(client: Pick<TestClient, 'query' | 'overWebSocket'>): TaskCreator {
  const creator: TaskCreator = {
    ask: async (input) => (await client.query(CREATE, { input })).createTask,
    async create(input) {
      const result = await creator.ask(input);
      if (result.__typename !== 'CreateTaskSuccess') throw new Error(JSON.stringify(result));
      return result.task;
    },
    async follow({ id }, states = []) {
      for await (const { taskProgress } of client.overWebSocket(PROGRESS, { id })) {
        expectNoStepBack(states.at(-1), taskProgress.task);
        states.push(taskProgress.task);
      }
      return states;
    },
    async bring(input) {
      const end = (await creator.follow(await creator.create(input))).at(-1);
      if (end === undefined) throw new Error('nothing was told of the task');
      return end;
    },
  };
  return creator;
}
