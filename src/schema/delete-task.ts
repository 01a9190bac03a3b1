import { deleteTask } from '../services/delete-task.ts';
import { NotFoundError, TaskCannotBeDeletedError } from '../services/errors.ts';
import { builder } from './builder.ts';
import { ErrorInterface } from './errors.ts';
import { deletedSuccess } from './success.ts';
import { TaskStatus } from './task.ts';

builder.objectType(TaskCannotBeDeletedError, {
  name: 'TaskCannotBeDeletedError',
  interfaces: [ErrorInterface],
  fields: (t) => ({ status: t.expose('status', { type: TaskStatus }) }),
});

builder.mutationField('deleteTask', (t) =>
  t.field({
    scope: 'WRITE',
    type: deletedSuccess('DeleteTaskSuccess'),
    description:
      'Only a finished task; one that is READY needs its video deleted first. Its import counts it on. Also: TaskCannotBeDeletedError.',
    args: { id: t.arg.id({ required: true }) },
    errors: { types: [NotFoundError, TaskCannotBeDeletedError], union: { name: 'DeleteTaskResult' } },
    resolve: async (_root, { id }, { services, viewer }) => {
      await deleteTask(services, viewer, id);
      return { deletedId: id };
    },
  }),
);
