import { builder } from './builder.ts';
import { countOf } from './paging.ts';
import { TaskError } from './task-error.ts';

export const FailedFile = builder.drizzleNode('failedFiles', {
  name: 'FailedFile',
  select: { columns: { id: true } },
  description:
    'A file that planning found unfit for good: it missed a requirement, or its source refuses it. What may pass becomes a task and is tried again.',
  id: { column: (file) => file.id },
  fields: (t) => ({
    fileName: t.exposeString('fileName'),
    sourceKey: t.exposeString('sourceKey', { nullable: true }),
    name: t.exposeString('name'),
    externalId: t.exposeString('externalId', { nullable: true }),
    error: t.field({
      type: TaskError,
      select: {
        columns: {
          errorCode: true,
          errorMessage: true,
          errorRetryable: true,
          errorMeasured: true,
          errorRequired: true,
        },
      },
      resolve: (file) => ({
        code: file.errorCode,
        message: file.errorMessage,
        retryable: file.errorRetryable,
        ...(file.errorMeasured === null ? {} : { measured: file.errorMeasured }),
        ...(file.errorRequired === null ? {} : { required: file.errorRequired }),
      }),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
  }),
});

export const FailedFileEdge = builder.edgeObject({
  type: FailedFile,
  name: 'FailedFileEdge',
  nodeNullable: false,
});
export const FailedFileConnection = builder.connectionObject(
  {
    type: FailedFile,
    name: 'FailedFileConnection',
    nodeNullable: false,
    edgesNullable: { list: false, items: false },
    fields: (t) => ({ totalCount: t.int({ resolve: countOf }) }),
  },
  FailedFileEdge,
);
