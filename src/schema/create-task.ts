import { createTask } from '../services/create-task.ts';
import {
  IdempotencyConflictError,
  InvalidInputError,
  NotFoundError,
  RateLimitedError,
  UsageLimitExceededError,
} from '../services/errors.ts';
import { builder } from './builder.ts';
import { taskSuccess } from './success.ts';

const TaskObjectInput = builder.inputType('TaskObjectInput', {
  description: 'One object of a source set up before. Needs no import, and waits for none.',
  fields: (t) => ({
    integrationId: t.id({ required: true }),
    key: t.string({ required: true, description: '1 to 1024 bytes of UTF-8.' }),
  }),
});

const TaskSourceInput = builder.inputType('TaskSourceInput', {
  isOneOf: true,
  fields: (t) => ({
    url: t.string({ description: 'https or http.' }),
    uploadId: t.id({
      description:
        'The last segment of the URL that the tus upload was given. It may still be going on, and is used once.',
    }),
    object: t.field({ type: TaskObjectInput }),
  }),
});

const CreateTaskInput = builder.inputType('CreateTaskInput', {
  description: 'Defaults and rules as in StartImportInput.',
  fields: (t) => ({
    from: t.field({ type: TaskSourceInput, required: true }),
    indexId: t.id(),
    teamId: t.id(),
    name: t.string(),
    description: t.string(),
    fileName: t.string({
      description:
        "The last segment of the URL's path or of the key, or the filename of the upload, when left out.",
    }),
    metadata: t.field({ type: 'Metadata' }),
    sha256: t.string(),
    incremental: t.boolean({ required: true, defaultValue: true }),
    fullIngestion: t.boolean({ required: true, defaultValue: false }),
    enableVideoStream: t.boolean({ required: true, defaultValue: false }),
    idempotencyKey: t.string(),
  }),
});

builder.mutationField('createTask', (t) =>
  t.field({
    scope: 'WRITE',
    isRateLimited: true,
    isForUploadTokens: true,
    type: taskSuccess('CreateTaskSuccess'),
    description: 'One video without an import around it. Also: UsageLimitExceededError, RateLimitedError.',
    args: { input: t.arg({ type: CreateTaskInput, required: true }) },
    errors: {
      types: [
        InvalidInputError,
        NotFoundError,
        UsageLimitExceededError,
        RateLimitedError,
        IdempotencyConflictError,
      ],
      union: { name: 'CreateTaskResult' },
    },
    resolve: async (_root, { input }, { services, viewer }) => ({
      taskId: await createTask(services, viewer, input),
    }),
  }),
);
