import { sql } from 'drizzle-orm';
import { failedFiles } from '../db/tables/imports.ts';
import { tasks } from '../db/tables/tasks.ts';
import { IMPORT_ERROR_CODES, type ImportErrorCode as ImportErrorCodeValue } from '../services/errors.ts';
import {
  importWhere,
  ownedBy,
  type TaskFilter as TaskFilterShape,
  type TaskWhere,
  taskConditions,
} from '../services/filters.ts';
import type { ImportFigures } from '../services/import-figures.ts';
import { hasOneIndex } from '../services/list-indexes.ts';
import type { Viewer } from '../services/viewer.ts';
import { LATEST_DELIVERY, webhookOf } from '../services/webhook.ts';
import { builder } from './builder.ts';
import { badUserInput } from './errors.ts';
import { FailedFile, FailedFileConnection, FailedFileEdge } from './failed-file.ts';
import { DateTimeRange, OrderDirection, orderOf } from './filters.ts';
import type { PageArgs } from './keyset.ts';
import { known } from './known.ts';
import { countOf, readList, relatedList } from './paging.ts';
import { Task, TaskConnection, TaskEdge, TaskFilter } from './task.ts';
import { Webhook } from './webhook.ts';

const STATES = ['PLANNING', 'STARTED', 'SUCCEEDED', 'FAILED', 'CANCELED'] as const;

export const ImportState = builder.enumType('ImportState', {
  description:
    'PLANNING: the source is being listed and checked. STARTED: planning is over, tasks are on their way. SUCCEEDED: all have ended, and at least one is READY or SKIPPED, or nothing was found (see hasFailures). FAILED: the source could not be read, or nothing that was found came in; `error` says which. CANCELED: by cancelImport.',
  values: STATES,
});

const ImportCounts = builder.objectRef<ImportFigures>('ImportCounts').implement({
  description:
    'found = undecided + rejected + the statuses, in every answer. undecided: not judged yet, 0 once PLANNING is over. While the import runs, counts and progress may be up to a second older than the tasks.',
  fields: (t) => ({
    found: t.exposeInt('found'),
    undecided: t.exposeInt('undecided'),
    rejected: t.exposeInt('rejected'),
    uploading: t.exposeInt('uploading'),
    validating: t.exposeInt('validating'),
    pending: t.exposeInt('pending'),
    queued: t.exposeInt('queued'),
    indexing: t.exposeInt('indexing'),
    ready: t.exposeInt('ready'),
    skipped: t.exposeInt('skipped'),
    failed: t.exposeInt('failed'),
    canceled: t.exposeInt('canceled'),
  }),
});

const ImportProgress = builder.objectRef<ImportFigures>('ImportProgress').implement({
  description:
    'fraction: 0 to 1, the mean over its tasks, each that has ended (however) counting as 1; 0 while nothing is decided, and may go back while PLANNING finds more. bytesTotal: null while a size is unknown.',
  fields: (t) => ({
    fraction: t.exposeFloat('fraction'),
    bytesDone: t.expose('bytesDone', { type: 'BigInt' }),
    bytesTotal: t.expose('bytesTotal', { type: 'BigInt', nullable: true }),
    bytesPerSecond: t.expose('bytesPerSecond', { type: 'BigInt', nullable: true }),
    etaSeconds: t.exposeInt('etaSeconds', { nullable: true }),
  }),
});

export const ImportErrorCode = builder.enumType('ImportErrorCode', { values: IMPORT_ERROR_CODES });
const ImportError = builder
  .objectRef<{ readonly code: ImportErrorCodeValue; readonly message: string }>('ImportError')
  .implement({
    fields: (t) => ({
      code: t.expose('code', { type: ImportErrorCode }),
      message: t.exposeString('message'),
    }),
  });

const FIGURES_SELECTION = {
  columns: { id: true, state: true, found: true, counts: true, runs: true },
} as const;

export const Import = builder.drizzleNode('imports', {
  name: 'Import',
  select: { columns: { id: true } },
  id: { column: (row) => row.id },
  fields: (t) => ({
    team: t.relation('team'),
    state: t.field({
      type: ImportState,
      select: { columns: { state: true } },
      resolve: ({ state }) => known(STATES, state),
    }),
    finished: t.boolean({
      select: { columns: { finishedAt: true } },
      resolve: ({ finishedAt }) => finishedAt !== null,
    }),
    hasFailures: t.boolean({
      description: 'At least one video failed, or was rejected by the prerequisites.',
      select: { columns: { ...FIGURES_SELECTION.columns, hasFailures: true } },
      resolve: async (row, _args, { figures }) => {
        if (row.counts !== null) return row.hasFailures;
        const { failed, rejected } = await figures.load(row);
        return failed + rejected > 0;
      },
    }),
    runs: t.exposeInt('runs', { description: '1, and one more each time that a retry has opened it again.' }),
    index: t.relation('index', { nullable: true, description: 'Null once it is deleted.' }),
    integration: t.relation('integration', {
      nullable: true,
      description: 'Null for an import from URLs, and once it is deleted.',
    }),
    systemName: t.exposeString('systemName', { nullable: true }),
    incremental: t.exposeBoolean('incremental'),
    retryFailed: t.exposeBoolean('retryFailed'),
    fullIngestion: t.exposeBoolean('fullIngestion'),
    enableVideoStream: t.exposeBoolean('enableVideoStream'),
    metadata: t.expose('metadata', { type: 'Metadata', nullable: true }),
    context: t.field({
      type: 'JSON',
      nullable: true,
      description: 'As it was given to startImport.',
      select: { columns: { context: true } },
      resolve: ({ context }) => (context === null ? null : JSON.parse(context)),
    }),
    counts: t.field({
      type: ImportCounts,
      select: FIGURES_SELECTION,
      resolve: (row, _args, { figures }) => figures.load(row),
    }),
    progress: t.field({
      type: ImportProgress,
      select: FIGURES_SELECTION,
      resolve: (row, _args, { figures }) => figures.load(row),
    }),
    cursor: t.string({
      description:
        'Where things stood before this answer was read: importProgress(after:) from here misses nothing of what follows.',
      select: {
        columns: { id: true },
        extras: { readAt: sql<string>`pg_snapshot_xmin(pg_current_snapshot())::text` },
      },
      resolve: ({ id, readAt }, _args, { cursors }) => cursors.encode(id, { xmin: readAt, ordinal: null }),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When the state last changed.' }),
    startedAt: t.expose('startedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When planning was over.',
    }),
    finishedAt: t.expose('finishedAt', { type: 'DateTime', nullable: true }),
    error: t.field({
      type: ImportError,
      nullable: true,
      description: 'Why the import as a whole failed, or why its listing ended early, and how far it came.',
      select: { columns: { errorCode: true, errorMessage: true } },
      resolve: ({ errorCode, errorMessage }) =>
        errorCode === null
          ? null
          : { code: known(IMPORT_ERROR_CODES, errorCode), message: errorMessage ?? '' },
    }),
    tasks: t.connection(
      {
        type: Task,
        description:
          'The videos that planning accepted or skipped, in the order they were found. filter.importId and teamId are not taken.',
        args: { filter: t.arg({ type: TaskFilter }) },
        ...relatedList<'tasks', PageArgs & { readonly filter?: TaskFilterShape | null }>({
          table: 'tasks',
          type: 'Task',
          owner: tasks.importId,
          order: { list: 'import.tasks', by: 'ordinal', direction: 'asc' },
          where: ({ filter }, { viewer }) => ofImport(viewer, filter),
        }),
      },
      TaskConnection,
      TaskEdge,
    ),
    failedFiles: t.connection(
      {
        type: FailedFile,
        description: 'The files that are not imported, each with the prerequisite that it missed.',
        ...relatedList({
          table: 'failedFiles',
          type: 'FailedFile',
          owner: failedFiles.importId,
          order: { list: 'import.failedFiles', by: 'ordinal', direction: 'asc' },
        }),
      },
      FailedFileConnection,
      FailedFileEdge,
    ),
    webhook: t.field({
      type: Webhook,
      nullable: true,
      description: 'Null without one, and once its records were removed (see the retention of the server).',
      select: {
        columns: { teamId: true, webhookUrl: true, finishedAt: true },
        with: { webhookDeliveries: LATEST_DELIVERY },
      },
      resolve: (row, _args, { services }) => webhookOf(services, row),
    }),
  }),
});

function ofImport(viewer: Viewer, filter: TaskFilterShape | null | undefined): TaskWhere {
  if (filter?.importId != null || filter?.teamId != null) {
    throw badUserInput(
      'filter.importId and filter.teamId are not taken here: these are the tasks of one import.',
    );
  }
  return { AND: [...taskConditions(viewer, filter ?? {})] };
}

const ImportEdge = builder.edgeObject({ type: Import, name: 'ImportEdge', nodeNullable: false });
const ImportConnection = builder.connectionObject(
  {
    type: Import,
    name: 'ImportConnection',
    nodeNullable: false,
    edgesNullable: { list: false, items: false },
    fields: (t) => ({ totalCount: t.int({ resolve: countOf }) }),
  },
  ImportEdge,
);

const ImportFilter = builder.inputType('ImportFilter', {
  fields: (t) => ({
    state: t.field({ type: [ImportState] }),
    hasFailures: t.boolean(),
    integrationId: t.id(),
    indexId: t.id(),
    systemName: t.string(),
    teamId: t.id(),
    createdAt: t.field({ type: DateTimeRange }),
  }),
});
const ImportOrderField = builder.enumType('ImportOrderField', {
  values: ['CREATED_AT', 'UPDATED_AT'] as const,
});
const ImportOrder = builder.inputType('ImportOrder', {
  fields: (t) => ({
    field: t.field({ type: ImportOrderField, required: true }),
    direction: t.field({ type: OrderDirection, required: true }),
  }),
});

for (const [name, description] of [
  [
    'importStatus',
    "One import and where each of its videos stands; null when there is none, or it is another team's.",
  ],
  ['import', 'The same, named like its siblings.'],
] as const) {
  builder.queryField(name, (t) =>
    t.drizzleField({
      type: Import,
      nullable: true,
      description,
      args: { id: t.arg.id({ required: true }) },
      resolve: async (query, _root, { id }, { db, viewer }) => {
        const where = ownedBy(viewer, 'Import', id);
        return where && (await db.query.imports.findFirst(query({ where })));
      },
    }),
  );
}

builder.queryField('imports', (t) =>
  t.connection(
    {
      type: Import,
      description: 'The log of import jobs, newest first.',
      args: { filter: t.arg({ type: ImportFilter }), orderBy: t.arg({ type: ImportOrder }) },
      resolve: (_root, args, context, info) => {
        const filter = args.filter ?? {};
        const where = importWhere(context.viewer, filter);
        const order = { list: 'imports', ...orderOf(args.orderBy) } as const;
        return readList(
          { args, context, info },
          { table: 'imports', order, where, hasOneIndex: hasOneIndex(filter, order.by) },
        );
      },
    },
    ImportConnection,
    ImportEdge,
  ),
);
