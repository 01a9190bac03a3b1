import { expect } from 'vitest';
import { toPublicId } from '../../src/services/public-ids.ts';
import type { TestClient } from '../support/client.ts';
import { graphql, type ResultOf, type VariablesOf } from '../support/graphql.ts';
import type { Rows } from '../support/rows.ts';

export const TRANSPORTS = ['WebSocket', 'server-sent events'] as const;
export type Transport = (typeof TRANSPORTS)[number];

export const PROGRESS = graphql(`
  subscription LiveImport($id: ID!, $after: String, $tasks: Boolean! = true) {
    importProgress(id: $id, after: $after, tasks: $tasks) {
      cursor snapshot
      import { state finished counts { found undecided rejected ready } progress { fraction } }
      changed { id status outcome attempts progress { fraction } }
      rejected { externalId }
    }
  }
`);
export const TASK_PROGRESS = graphql(`
  subscription LiveTask($id: ID!) {
    taskProgress(id: $id) { task { id status outcome attempts progress { fraction } } }
  }
`);

export type Event = ResultOf<typeof PROGRESS>['importProgress'];
type TaskState = Event['changed'][number];

/** What a client knows of an import from the events that it got. */
export interface Known {
  readonly events: Event[];
  readonly tasks: Map<string, TaskState>;
  readonly rejected: (string | null)[];
  /** Whether the server has ended the subscription. */
  complete: boolean;
}

/** What a client knows at first. */
export const nothing = (): Known => ({ events: [], tasks: new Map(), rejected: [], complete: false });

/** Subscribes over a transport. */
export const over = (client: TestClient, transport: Transport): TestClient['overWebSocket'] =>
  transport === 'WebSocket' ? client.overWebSocket : client.overEvents;

/** How an import is followed. */
export interface FollowOptions extends VariablesOf<typeof PROGRESS> {
  readonly transport: Transport;
  /** What is known already; it grows as the events come. */
  readonly known?: Known;
  /** Leaves after the event with which this is true; else it stays to the end. */
  readonly until?: (known: Known, event: Event) => boolean;
}

/** Takes events as they come, holds each to what is true at any time, and puts together what they say. */
export async function follow(client: TestClient, options: FollowOptions): Promise<Known> {
  const { transport, known = nothing(), until = () => false, ...variables } = options;
  const stream = over(client, transport)(PROGRESS, variables);
  for await (const { importProgress: event } of stream) {
    take(known, event);
    if (until(known, event)) return known;
  }
  known.complete = true;
  return known;
}

function take(known: Known, event: Event): void {
  known.events.push(event);
  expect(event.changed.length).toBeLessThanOrEqual(100);
  expect(event.rejected.length).toBeLessThanOrEqual(100);
  expect(new Set(event.changed.map(({ id }) => id)).size).toBe(event.changed.length);
  for (const task of event.changed) {
    expectNoStepBack(known.tasks.get(task.id), task);
    known.tasks.set(task.id, task);
  }
  known.rejected.push(...event.rejected.map(({ externalId }) => externalId));
}

/** Within an attempt the fraction never falls. */
export function expectNoStepBack(before: TaskState | undefined, after: TaskState): void {
  if (before === undefined) return;
  expect(after.attempts).toBeGreaterThanOrEqual(before.attempts);
  if (after.attempts === before.attempts)
    expect(after.progress.fraction).toBeGreaterThanOrEqual(before.progress.fraction);
}

/** The tasks of an import as the database has them, in the shape of the events. */
export async function storedTasks(rows: Rows, id: string): Promise<Map<string, TaskState>> {
  const stored = await rows.all<Omit<TaskState, 'progress'> & { readonly fraction: number }>(
    'select id, status, outcome, attempts, fraction from tasks where import_id = $1 order by ordinal',
    [id.slice('imp_'.length)],
  );
  return new Map(
    stored.map(({ fraction, ...task }) => {
      const taskId = toPublicId('Task', task.id);
      return [taskId, { ...task, id: taskId, progress: { fraction } }];
    }),
  );
}

/** That a client knows all tasks of a finished import as they ended, and that it was told the end. */
export async function expectAllKnown(rows: Rows, id: string, known: Known): Promise<void> {
  expect(known.complete).toBe(true);
  expect(known.events.at(-1)?.import).toMatchObject({ finished: true, progress: { fraction: 1 } });
  const stored = await storedTasks(rows, id);
  expect(Object.fromEntries(known.tasks)).toEqual(Object.fromEntries(stored));
}
