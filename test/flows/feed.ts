import { expect } from 'vitest';
import type { TestClient } from '../support/client.ts';
import { graphql, type ResultOf, type VariablesOf } from '../support/graphql.ts';
import { over, type Transport } from './live.ts';

export const FEED = graphql(`
  subscription Feed($filter: TaskFilter, $after: String) {
    tasksChanged(filter: $filter, after: $after) {
      cursor
      changed { id name status outcome attempts progress { fraction } }
      removedIds
    }
  }
`);

export type FeedEvent = ResultOf<typeof FEED>['tasksChanged'];
export type FeedTask = FeedEvent['changed'][number];

/** What a client knows of a team's tasks from the events that it got. */
export interface KnownFeed {
  readonly events: FeedEvent[];
  readonly tasks: Map<string, FeedTask>;
}

/** What a client knows at first. */
export const noTasks = (): KnownFeed => ({ events: [], tasks: new Map() });

/** How a team's tasks are followed. */
export interface FollowFeedOptions extends VariablesOf<typeof FEED> {
  readonly transport: Transport;
  /** What is known already; it grows as the events come. */
  readonly known?: KnownFeed;
  /** Leaves after the event with which this is true. */
  readonly until: (known: KnownFeed, event: FeedEvent) => boolean;
}

/** Takes events as they come, holds each to what is true at any time, and puts together what they say. */
export async function followFeed(client: TestClient, options: FollowFeedOptions): Promise<KnownFeed> {
  const { transport, known = noTasks(), until, ...variables } = options;
  for await (const { tasksChanged: event } of over(client, transport)(FEED, variables)) {
    takeFeedEvent(known, event);
    if (until(known, event)) return known;
  }
  throw new Error('a feed that never completes has completed');
}

/** Adds what an event says. */
function takeFeedEvent(known: KnownFeed, event: FeedEvent): void {
  known.events.push(event);
  const ids = event.changed.map(({ id }) => id);
  expect(ids.length).toBeLessThanOrEqual(100);
  expect(new Set([...ids, ...event.removedIds]).size).toBe(ids.length + event.removedIds.length);
  for (const task of event.changed) known.tasks.set(task.id, task);
  for (const id of event.removedIds) known.tasks.delete(id);
}

/** Whether an event is the beginning of a feed: nothing that came before it counts. */
export const isBeginning = ({ changed, removedIds }: FeedEvent): boolean =>
  changed.length === 0 && removedIds.length === 0;
