import { IdempotencyConflictError, InvalidInputError, NotFoundError } from '../services/errors.ts';
import { startImport } from '../services/start-import.ts';
import { builder } from './builder.ts';
import { Import } from './import.ts';

const VideoInput = builder.inputType('VideoInput', {
  description: 'A video by its URL, as known to the system that it comes from.',
  fields: (t) => ({
    externalId: t.string({ required: true, description: '1 to 255 characters.' }),
    url: t.string({ description: 'https or http. Required.' }),
    fileName: t.string({ required: true, description: '1 to 255 characters.' }),
    name: t.string({ description: '1 to 255 characters; the fileName when left out.' }),
    description: t.string({ description: 'Up to 511 characters.' }),
    metadata: t.field({ type: 'Metadata' }),
    sha256: t.string({
      description: 'Of the whole file, in hex. A file that is not this one fails with CHECKSUM_MISMATCH.',
    }),
  }),
});

const VideosSourceInput = builder.inputType('VideosSourceInput', {
  description:
    'The pair (systemName, externalId) names at most one video in an index. Known, with another content, name, description or metadata: UPDATED, the video keeps its id, what is left out stays, metadata given replaces the old. Known, with nothing new: SKIPPED, SAME_RECORD. The pair goes before incremental. Twice in one call: the second is rejected, DUPLICATE_IN_REQUEST.',
  fields: (t) => ({
    systemName: t.string({ required: true, description: '1 to 255 characters.' }),
    videos: t.field({ type: [VideoInput], required: true, description: '1 to 10,000 of them.' }),
  }),
});

const ImportSourceInput = builder.inputType('ImportSourceInput', {
  description: 'Exactly one.',
  isOneOf: true,
  fields: (t) => ({
    videos: t.field({
      type: VideosSourceInput,
      description: 'Videos by URL, as known to the system they come from.',
    }),
  }),
});

const StartImportInput = builder.inputType('StartImportInput', {
  fields: (t) => ({
    from: t.field({ type: ImportSourceInput, required: true }),
    indexId: t.id({ description: "The team's default index when left out." }),
    teamId: t.id({
      description:
        "Left out: the team of the index named, else the key's default team. Ids of different teams: NotFoundError.",
    }),
    incremental: t.boolean({
      required: true,
      defaultValue: true,
      description:
        'true: a file whose content (SHA-256) the index holds already is SKIPPED, SAME_CONTENT. false: it becomes one more video.',
    }),
    metadata: t.field({ type: 'Metadata', description: 'For every video of this import.' }),
    idempotencyKey: t.string({
      description:
        '1 to 255 characters, per team, kept 24 hours or more. The same key with the same input returns what the first call made, as it is now; with another input: IdempotencyConflictError. A call that ended in an error uses up no key.',
    }),
  }),
});

const StartImportSuccess = builder.objectRef<{ readonly importId: string }>('StartImportSuccess').implement({
  fields: (t) => ({
    import: t.drizzleField({
      type: Import,
      resolve: async (query, { importId }, _args, { db }) => {
        const row = await db.query.imports.findFirst(query({ where: { id: importId } }));
        if (!row) throw new Error(`import ${importId} is gone`);
        return row;
      },
    }),
  }),
});

builder.mutationField('startImport', (t) =>
  t.field({
    type: StartImportSuccess,
    description: 'Starts importing, and says at once which videos will be imported and which will not.',
    args: { input: t.arg({ type: StartImportInput, required: true }) },
    errors: {
      types: [InvalidInputError, NotFoundError, IdempotencyConflictError],
      union: { name: 'StartImportResult' },
    },
    resolve: async (_root, { input }, { services, viewer }) => ({
      importId: await startImport(services, viewer, input),
    }),
  }),
);
