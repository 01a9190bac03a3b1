import { teamOfFilter } from '../services/filter-team.ts';
import { taskConditionsOf } from '../services/filters.ts';
import { toPublicId } from '../services/public-ids.ts';
import type { TaskFeedEvent } from '../services/task-feed.ts';
import { abortableIterator } from './abortable-iterator.ts';
import { builder } from './builder.ts';
import { FULL_PAGE_COST } from './cost.ts';
import { notFound } from './errors.ts';
import { Task, TaskFilter } from './task.ts';
import { whileTeamIsReached } from './team-watch.ts';

const TasksChangedEvent = builder.objectRef<TaskFeedEvent>('TasksChangedEvent').implement({
  fields: (t) => ({
    cursor: t.exposeString('cursor'),
    changed: t.drizzleField({
      type: [Task],
      complexity: FULL_PAGE_COST,
      description:
        'Tasks that match, made or changed: the latest state of each, once; at most 100, more follow at once.',
      resolve: (query, { changedIds, subject }, _args, { db }) => {
        if (changedIds.length === 0) return [];
        // What has ceased to match since then is left out: the next event tells of it.
        const { teamId, filter } = subject;
        const conditions = [{ id: { in: [...changedIds] }, teamId }, ...taskConditionsOf([teamId], filter)];
        return db.query.tasks.findMany(query({ where: { AND: conditions }, orderBy: { id: 'asc' } }));
      },
    }),
    removedIds: t.idList({
      complexity: FULL_PAGE_COST,
      description: 'Tasks that match no longer, or were deleted. May name some that the client never had.',
      resolve: ({ removedIds }) => removedIds.map((id) => toPublicId('Task', id)),
    }),
  }),
});

builder.subscriptionFields((t) => ({
  tasksChanged: t.field({
    type: TasksChangedEvent,
    description:
      "Every change of one team's tasks that match (filter.teamId as in `tasks`), from now on; never completes. The first event comes at once and says nothing but its cursor: a list read after it misses nothing. `after` goes on from an earlier event. What has changed since comes first then; where that cursor cannot be honoured (malformed, another team's, older than the server keeps), it begins like one without: read the list again.",
    args: { filter: t.arg({ type: TaskFilter }), after: t.arg.string() },
    subscribe: async (_root, { filter, after }, context) => {
      const subject = {
        teamId: await teamOfFilter(context.db, context.viewer, filter ?? {}),
        filter: filter ?? {},
      };
      return abortableIterator(
        (signal) => context.taskFeeds.follow({ ...subject, after: after ?? null, signal }),
        whileTeamIsReached(context, subject.teamId, () => notFound('team')),
      );
    },
    resolve: (event) => event,
  }),
}));
