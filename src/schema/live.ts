import { GoneError } from '../services/errors.ts';
import { ownedBy, ownTask } from '../services/filters.ts';
import type { ImportEvent } from '../services/import-event.ts';
import { importProgress } from '../services/import-progress.ts';
import { toPublicId } from '../services/public-ids.ts';
import { taskProgress } from '../services/task-progress.ts';
import { abortableIterator } from './abortable-iterator.ts';
import { builder } from './builder.ts';
import { FULL_PAGE_COST } from './cost.ts';
import { notFound } from './errors.ts';
import { FailedFile } from './failed-file.ts';
import { Import } from './import.ts';
import { readByIds } from './list-statements.ts';
import { Task } from './task.ts';
import { whileTeamIsReached } from './team-watch.ts';

const ImportProgressEvent = builder.objectRef<ImportEvent>('ImportProgressEvent').implement({
  fields: (t) => ({
    cursor: t.exposeString('cursor', { description: 'Pass it as `after` to go on from here.' }),
    snapshot: t.exposeBoolean('snapshot', {
      description: 'This event is part of where things stand; false: it is a change.',
    }),
    import: t.field({
      type: Import,
      resolve: async ({ importId }, _args, context, info) => {
        const [row] = await readByIds({ table: 'imports', ids: [importId], by: ['id'] }, context, info);
        if (!row) throw new GoneError();
        return row;
      },
    }),
    changed: t.field({
      type: [Task],
      complexity: FULL_PAGE_COST,
      description:
        'Tasks made or changed since the last event: the latest state of each, once; at most 100, more follow at once.',
      resolve: ({ changedIds: ids }, _args, context, info) =>
        readByIds({ table: 'tasks', ids, by: ['ordinal', 'id'] }, context, info),
    }),
    rejected: t.drizzleField({
      type: [FailedFile],
      complexity: FULL_PAGE_COST,
      description: 'Files that planning rejected since the last event; at most 100, more follow at once.',
      resolve: (query, { rejectedIds }, _args, { db }) =>
        rejectedIds.length === 0
          ? []
          : db.query.failedFiles.findMany(
              query({ where: { id: { in: [...rejectedIds] } }, orderBy: { ordinal: 'asc', id: 'asc' } }),
            ),
    }),
    deletedTaskIds: t.idList({
      complexity: FULL_PAGE_COST,
      description: 'Tasks deleted since the last event.',
      resolve: ({ deletedIds }) => deletedIds.map((id) => toPublicId('Task', id)),
    }),
  }),
});

const TaskProgressEvent = builder.objectRef<{ readonly taskId: string }>('TaskProgressEvent').implement({
  fields: (t) => ({
    task: t.field({
      type: Task,
      resolve: async ({ taskId }, _args, context, info) => {
        const [row] = await readByIds({ table: 'tasks', ids: [taskId], by: ['id'] }, context, info);
        if (!row) throw new GoneError();
        return row;
      },
    }),
  }),
});

builder.subscriptionFields((t) => ({
  importProgress: t.field({
    type: ImportProgressEvent,
    description:
      "One import as it goes. First the snapshot: the import and all its tasks and rejected files, finished ones too, in one or more events of at most 100 tasks. Then each change as it comes, then the end; completes when the import has finished. With `after`, which may be the cursor of any event: only what changed since, or a new snapshot where that cursor cannot be honoured (malformed, another import's, older than the server keeps). When a snapshot begins, forget what earlier events said. tasks: false sends the import alone, without its tasks and rejected files.",
    args: {
      id: t.arg.id({ required: true }),
      after: t.arg.string(),
      tasks: t.arg.boolean({ required: true, defaultValue: true }),
    },
    subscribe: async (_root, { id, after, tasks }, context) => {
      const where = ownedBy(context.viewer, 'Import', id);
      const columns = { id: true, teamId: true } as const;
      const row = where && (await context.db.query.imports.findFirst({ where, columns }));
      if (!row) throw notFound('import');
      return abortableIterator(
        (signal) => importProgress(context, { importId: row.id, after: after ?? null, tasks, signal }),
        whileTeamIsReached(context, row.teamId, () => notFound('import')),
      );
    },
    resolve: (event) => event,
  }),
  taskProgress: t.field({
    isForUploadTokens: true,
    type: TaskProgressEvent,
    description:
      'One task: where it stands, each change, its end; completes when the task has finished or was deleted.',
    args: { id: t.arg.id({ required: true }) },
    subscribe: async (_root, { id }, context) => {
      const where = ownTask(context.viewer, id);
      const columns = { id: true, teamId: true, importId: true } as const;
      const task = where && (await context.db.query.tasks.findFirst({ where, columns }));
      if (!task) throw notFound('task');
      return abortableIterator(
        (signal) => taskProgress(context, { task, signal }),
        whileTeamIsReached(context, task.teamId, () => notFound('task')),
      );
    },
    resolve: (taskId) => ({ taskId }),
  }),
}));
