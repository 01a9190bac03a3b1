import { ownTask, taskWhere } from '../services/filters.ts';
import { taskHls } from '../services/hls-state.ts';
import { hasOneIndex, severalStatuses } from '../services/list-indexes.ts';
import { toPublicId } from '../services/public-ids.ts';
import { progressOf, stagesOf, type TaskProgress as TaskProgressShape } from '../services/task-state.ts';
import { builder } from './builder.ts';
import { DateTimeRange, FloatRange, IntRange, OrderDirection, orderOf, StringFilter } from './filters.ts';
import { HLS_COLUMNS, Hls } from './hls.ts';
import { known } from './known.ts';
import { countOf, readList } from './paging.ts';
import { SystemMetadata } from './system-metadata.ts';
import { TaskError, TaskErrorCode } from './task-error.ts';
import { TaskStage } from './task-stage.ts';

const STATUSES = [
  'PENDING',
  'UPLOADING',
  'VALIDATING',
  'QUEUED',
  'INDEXING',
  'READY',
  'SKIPPED',
  'FAILED',
  'CANCELED',
] as const;
const OUTCOMES = ['CREATED', 'UPDATED', 'SKIPPED', 'FAILED', 'CANCELED'] as const;
const SKIP_REASONS = ['SAME_CONTENT', 'SAME_RECORD', 'FAILED_BEFORE', 'SUPERSEDED'] as const;
const WAIT_REASONS = ['WORKER', 'RETRY', 'UPLOAD', 'STORAGE', 'SAME_CONTENT'] as const;

export const TaskStatus = builder.enumType('TaskStatus', {
  description:
    'PENDING waits for a worker; UPLOADING copies the bytes in; VALIDATING checks them; QUEUED waits to be indexed; then INDEXING, and one of four ends.',
  values: STATUSES,
});
const TaskOutcome = builder.enumType('TaskOutcome', { values: OUTCOMES });
export const SkipReason = builder.enumType('SkipReason', {
  description: 'SUPERSEDED: a newer import has brought a newer version of the same pair.',
  values: SKIP_REASONS,
});
const WaitReason = builder.enumType('WaitReason', {
  description:
    'UPLOAD: its upload is not complete; progress tells how far that is. SAME_CONTENT: another unfinished task of the index has the same content.',
  values: WAIT_REASONS,
});

const TaskProgress = builder.objectRef<TaskProgressShape>('TaskProgress').implement({
  description:
    "fraction: 0 to 1 over all stages, 1 exactly when READY or SKIPPED, left where it was when FAILED or CANCELED; never goes back within an attempt. bytesDone and bytesTotal: of UPLOAD. updatedAt: when it last moved, at first the task's createdAt.",
  fields: (t) => ({
    fraction: t.exposeFloat('fraction'),
    bytesDone: t.expose('bytesDone', { type: 'BigInt' }),
    bytesTotal: t.expose('bytesTotal', { type: 'BigInt', nullable: true }),
    bytesPerSecond: t.expose('bytesPerSecond', { type: 'BigInt', nullable: true }),
    etaSeconds: t.exposeInt('etaSeconds', { nullable: true }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime' }),
  }),
});

const PROGRESS_SELECTION = {
  columns: {
    fraction: true,
    bytesDone: true,
    bytesTotal: true,
    attempts: true,
    finishedAt: true,
    progressedAt: true,
    stages: true,
  },
  with: { live: true },
} as const;

export const Task = builder.drizzleNode('tasks', {
  name: 'Task',
  select: { columns: { id: true } },
  description: 'One video on its way into an index.',
  id: { column: (task) => task.id },
  fields: (t) => ({
    team: t.relation('team'),
    import: t.relation('import', { nullable: true }),
    index: t.relation('index'),
    videoId: t.id({
      description:
        'The id that the video has, or will have if it comes in; from the start. Changes only if the task is SKIPPED, to the id of the video that is there already.',
      select: { columns: { videoId: true } },
      resolve: ({ videoId }) => toPublicId('Video', videoId),
    }),
    video: t.relation('video', {
      nullable: true,
      description:
        'From QUEUED on, when the bytes are stored and valid; from the start for an update. Null before, and after deleteVideo (the status stays).',
    }),
    fileName: t.exposeString('fileName'),
    externalId: t.exposeString('externalId', { nullable: true }),
    systemName: t.exposeString('systemName', { nullable: true }),
    sourceKey: t.exposeString('sourceKey', {
      nullable: true,
      description:
        "Where it comes from: the object's key, or the path below the folder. Null for URLs and uploads.",
    }),
    name: t.exposeString('name', { description: 'As given, else the fileName.' }),
    status: t.field({
      type: TaskStatus,
      select: { columns: { status: true } },
      resolve: ({ status }) => known(STATUSES, status),
    }),
    outcome: t.field({
      type: TaskOutcome,
      nullable: true,
      description: 'How it ended: null while it runs.',
      select: { columns: { outcome: true } },
      resolve: ({ outcome }) => outcome && known(OUTCOMES, outcome),
    }),
    skipReason: t.field({
      type: SkipReason,
      nullable: true,
      description:
        'Set exactly when the status is SKIPPED. `video` is then the one that is there already (null for FAILED_BEFORE).',
      select: { columns: { skipReason: true } },
      resolve: ({ skipReason }) => skipReason && known(SKIP_REASONS, skipReason),
    }),
    reason: t.exposeString('reason', {
      nullable: true,
      description: 'Why it was skipped, failed or canceled, in words.',
    }),
    error: t.field({
      type: TaskError,
      nullable: true,
      description:
        'Why the latest attempt failed. With a status other than FAILED: it will be tried again at nextAttemptAt.',
      select: { columns: { error: true } },
      resolve: ({ error }) => error,
    }),
    waitingFor: t.field({
      type: WaitReason,
      nullable: true,
      description: 'Set while the status is PENDING or QUEUED.',
      select: { columns: { waitingFor: true } },
      resolve: ({ waitingFor }) => waitingFor && known(WAIT_REASONS, waitingFor),
    }),
    nextAttemptAt: t.expose('nextAttemptAt', { type: 'DateTime', nullable: true }),
    progress: t.field({
      type: TaskProgress,
      select: PROGRESS_SELECTION,
      resolve: (task) => progressOf(task),
    }),
    stages: t.field({ type: [TaskStage], select: PROGRESS_SELECTION, resolve: (task) => stagesOf(task) }),
    attempts: t.exposeInt('attempts', { description: 'Attempts begun so far, this one included.' }),
    metadata: t.expose('metadata', { type: 'Metadata', nullable: true }),
    systemMetadata: t.field({
      type: SystemMetadata,
      nullable: true,
      select: { columns: { systemMetadata: true, fileName: true } },
      resolve: ({ systemMetadata, fileName }) => systemMetadata && { ...systemMetadata, fileName },
    }),
    hls: t.field({
      type: Hls,
      nullable: true,
      description:
        'PROCESSING until its STREAM has ended; once the task is READY or SKIPPED, what its video has by now. Null where HLS was not asked for.',
      select: {
        columns: { stages: true, status: true, createdAt: true, startedAt: true, finishedAt: true },
        with: { video: { columns: HLS_COLUMNS } },
      },
      resolve: (task) => taskHls(task),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    updatedAt: t.expose('updatedAt', {
      type: 'DateTime',
      description: 'When the status last changed; progress does not move it.',
    }),
    startedAt: t.expose('startedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Of the latest attempt.',
    }),
    finishedAt: t.expose('finishedAt', { type: 'DateTime', nullable: true }),
  }),
});

export const TaskEdge = builder.edgeObject({ type: Task, name: 'TaskEdge', nodeNullable: false });
export const TaskConnection = builder.connectionObject(
  {
    type: Task,
    name: 'TaskConnection',
    nodeNullable: false,
    edgesNullable: { list: false, items: false },
    fields: (t) => ({ totalCount: t.int({ resolve: countOf }) }),
  },
  TaskEdge,
);

export const TaskFilter = builder.inputType('TaskFilter', {
  fields: (t) => ({
    status: t.field({ type: [TaskStatus] }),
    indexId: t.id(),
    importId: t.id(),
    teamId: t.id(),
    fileName: t.field({ type: StringFilter }),
    sourceKey: t.field({ type: StringFilter }),
    systemName: t.string(),
    externalId: t.field({ type: StringFilter }),
    outcome: t.field({ type: [TaskOutcome] }),
    errorCode: t.field({ type: [TaskErrorCode] }),
    integrationId: t.id(),
    videoId: t.id(),
    duration: t.field({ type: FloatRange }),
    width: t.field({ type: IntRange }),
    height: t.field({ type: IntRange }),
    createdAt: t.field({ type: DateTimeRange }),
    updatedAt: t.field({ type: DateTimeRange }),
  }),
});

const TaskOrderField = builder.enumType('TaskOrderField', { values: ['CREATED_AT', 'UPDATED_AT'] as const });
const TaskOrder = builder.inputType('TaskOrder', {
  fields: (t) => ({
    field: t.field({ type: TaskOrderField, required: true }),
    direction: t.field({ type: OrderDirection, required: true }),
  }),
});

builder.queryFields((t) => ({
  task: t.drizzleField({
    isForUploadTokens: true,
    type: Task,
    nullable: true,
    args: { id: t.arg.id({ required: true }) },
    resolve: async (query, _root, { id }, { db, viewer }) => {
      const where = ownTask(viewer, id);
      return where && (await db.query.tasks.findFirst(query({ where })));
    },
  }),
  tasks: t.connection(
    {
      type: Task,
      description: 'Video indexing tasks.',
      args: { filter: t.arg({ type: TaskFilter }), orderBy: t.arg({ type: TaskOrder }) },
      resolve: (_root, args, context, info) => {
        const filter = args.filter ?? {};
        const order = { list: 'tasks', ...orderOf(args.orderBy) } as const;
        return readList(
          { args, context, info },
          {
            table: 'tasks',
            order,
            where: taskWhere(context.viewer, filter),
            hasOneIndex: hasOneIndex(filter, order.by),
            statuses: severalStatuses(context.viewer, filter),
          },
        );
      },
    },
    TaskConnection,
    TaskEdge,
  ),
}));
