import { cancelImport, cancelTask } from '../services/cancel.ts';
import {
  ImportAlreadyRunningError,
  ImportCannotBeRetriedError,
  NotFoundError,
  TaskCannotBeRetriedError,
  UsageLimitExceededError,
} from '../services/errors.ts';
import { retryImport, retryTask } from '../services/retry.ts';
import { builder } from './builder.ts';
import { ErrorInterface } from './errors.ts';
import { ImportState } from './import.ts';
import { importSuccess, taskSuccess } from './success.ts';
import { TaskStatus } from './task.ts';

builder.objectType(ImportCannotBeRetriedError, {
  name: 'ImportCannotBeRetriedError',
  interfaces: [ErrorInterface],
  fields: (t) => ({ state: t.expose('state', { type: ImportState }) }),
});

builder.objectType(TaskCannotBeRetriedError, {
  name: 'TaskCannotBeRetriedError',
  interfaces: [ErrorInterface],
  fields: (t) => ({ status: t.expose('status', { type: TaskStatus }) }),
});

builder.mutationFields((t) => ({
  cancelImport: t.field({
    scope: 'WRITE',
    type: importSuccess('CancelImportSuccess'),
    description:
      'Stops an import: it and its unfinished tasks are CANCELED at once, finished ones stay. One that has finished is returned as it is.',
    args: { id: t.arg.id({ required: true }) },
    errors: { types: [NotFoundError], union: { name: 'CancelImportResult' } },
    resolve: async (_root, { id }, { services, viewer }) => ({
      importId: await cancelImport(services, viewer, id),
    }),
  }),
  retryImport: t.field({
    scope: 'WRITE',
    type: importSuccess('RetryImportSuccess'),
    description:
      'Queues the FAILED and CANCELED tasks of a finished import again: the same tasks, attempts goes on counting, outcome, error and finishedAt are null again. The import is STARTED again. Rejected files stay rejected. Also: ImportAlreadyRunningError, ImportCannotBeRetriedError (not finished, or no such task), UsageLimitExceededError.',
    args: { id: t.arg.id({ required: true }) },
    errors: {
      types: [NotFoundError, ImportAlreadyRunningError, ImportCannotBeRetriedError, UsageLimitExceededError],
      union: { name: 'RetryImportResult' },
    },
    resolve: async (_root, { id }, { services, viewer }) => ({
      importId: await retryImport(services, viewer, id),
    }),
  }),
  cancelTask: t.field({
    scope: 'WRITE',
    type: taskSuccess('CancelTaskSuccess'),
    description: 'A task that has finished is returned as it is.',
    args: { id: t.arg.id({ required: true }) },
    errors: { types: [NotFoundError], union: { name: 'CancelTaskResult' } },
    resolve: async (_root, { id }, { services, viewer }) => ({
      taskId: await cancelTask(services, viewer, id),
    }),
  }),
  retryTask: t.field({
    scope: 'WRITE',
    type: taskSuccess('RetryTaskSuccess'),
    description:
      'A FAILED or CANCELED task. A finished import that it is part of is STARTED again. Also: TaskCannotBeRetriedError, ImportAlreadyRunningError, UsageLimitExceededError.',
    args: { id: t.arg.id({ required: true }) },
    errors: {
      types: [NotFoundError, TaskCannotBeRetriedError, ImportAlreadyRunningError, UsageLimitExceededError],
      union: { name: 'RetryTaskResult' },
    },
    resolve: async (_root, { id }, { services, viewer }) => ({
      taskId: await retryTask(services, viewer, id),
    }),
  }),
}));
