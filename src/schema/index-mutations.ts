import { deleteIndex } from '../services/delete-index.ts';
import {
  IndexIsDefaultError,
  IndexNotEmptyError,
  InvalidInputError,
  NotFoundError,
} from '../services/errors.ts';
import { createIndex, updateIndex } from '../services/indexes.ts';
import { builder } from './builder.ts';
import { ErrorInterface } from './errors.ts';
import { Analyzer, Index } from './library-index.ts';
import { deletedSuccess } from './success.ts';

builder.objectType(IndexNotEmptyError, {
  name: 'IndexNotEmptyError',
  description:
    'unfinishedTaskCount: tasks that have not ended, and videos of running imports that are not decided yet.',
  interfaces: [ErrorInterface],
  fields: (t) => ({
    videoCount: t.exposeInt('videoCount'),
    unfinishedTaskCount: t.exposeInt('unfinishedTaskCount'),
  }),
});

builder.objectType(IndexIsDefaultError, { name: 'IndexIsDefaultError', interfaces: [ErrorInterface] });

const RequirementsInput = builder.inputType('RequirementsInput', {
  description:
    "See Requirements. The server's rules hold beside them: of each bound the most restrictive. In an update, a bound that is left out stays, null takes it away.",
  fields: (t) => ({
    minWidth: t.int(),
    minHeight: t.int(),
    maxWidth: t.int(),
    maxHeight: t.int(),
    minAspectRatio: t.float(),
    maxAspectRatio: t.float(),
    minDuration: t.float(),
    maxDuration: t.float(),
    maxSize: t.field({ type: 'BigInt' }),
  }),
});

const CreateIndexInput = builder.inputType('CreateIndexInput', {
  fields: (t) => ({
    teamId: t.id({ description: "The key's default team when left out." }),
    name: t.string({ required: true, description: '1 to 255 characters.' }),
    analyzers: t.field({ type: [Analyzer], description: 'All of them when left out.' }),
    requirements: t.field({ type: RequirementsInput }),
  }),
});

const UpdateIndexInput = builder.inputType('UpdateIndexInput', {
  description:
    'makeDefault: instead of the one that was. Another default must take its place: there is no way to have none. requirements: null takes all of them away.',
  fields: (t) => ({
    id: t.id({ required: true }),
    name: t.string({ description: '1 to 255 characters.' }),
    makeDefault: t.boolean({ required: true, defaultValue: false }),
    analyzers: t.field({
      type: [Analyzer],
      description: 'For what comes in from now on; null: all of them.',
    }),
    requirements: t.field({ type: RequirementsInput }),
  }),
});

const success = (name: string) =>
  builder.objectRef<{ readonly indexId: string }>(name).implement({
    fields: (t) => ({
      index: t.drizzleField({
        type: Index,
        resolve: async (query, { indexId }, _args, { db }) => {
          const row = await db.query.indexes.findFirst(query({ where: { id: indexId } }));
          if (!row) throw new Error(`index ${indexId} is gone`);
          return row;
        },
      }),
    }),
  });

builder.mutationFields((t) => ({
  createIndex: t.field({
    scope: 'ADMIN',
    type: success('CreateIndexSuccess'),
    args: { input: t.arg({ type: CreateIndexInput, required: true }) },
    errors: { types: [InvalidInputError, NotFoundError], union: { name: 'CreateIndexResult' } },
    resolve: async (_root, { input }, { services, viewer }) => ({
      indexId: await createIndex(services, viewer, input),
    }),
  }),
  updateIndex: t.field({
    scope: 'ADMIN',
    type: success('UpdateIndexSuccess'),
    args: { input: t.arg({ type: UpdateIndexInput, required: true }) },
    errors: { types: [InvalidInputError, NotFoundError], union: { name: 'UpdateIndexResult' } },
    resolve: async (_root, { input }, { services, viewer }) => ({
      indexId: await updateIndex(services, viewer, input),
    }),
  }),
  deleteIndex: t.field({
    scope: 'ADMIN',
    type: deletedSuccess('DeleteIndexSuccess'),
    description:
      'Only one without videos and unfinished tasks that is not the default. Its finished tasks go with it; imports stay, with index null. Also: IndexNotEmptyError, IndexIsDefaultError.',
    args: { id: t.arg.id({ required: true }) },
    errors: {
      types: [NotFoundError, IndexNotEmptyError, IndexIsDefaultError],
      union: { name: 'DeleteIndexResult' },
    },
    resolve: async (_root, { id }, { services, viewer }) => {
      await deleteIndex(services, viewer, id);
      return { deletedId: id };
    },
  }),
}));
