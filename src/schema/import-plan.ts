import type {
  ImportPlan as ImportPlanShape,
  PlannedVideo as PlannedVideoShape,
} from '../services/collect-plan.ts';
import { InvalidInputError, NotFoundError, SourceUnavailableError } from '../services/errors.ts';
import { planOfImport } from '../services/import-plan.ts';
import { builder } from './builder.ts';
import { FULL_PAGE_COST } from './cost.ts';
import { UsageLimit } from './errors.ts';
import { StartImportInput } from './import-input.ts';
import { SkipReason } from './task.ts';
import { TaskError } from './task-error.ts';
import { Video } from './video.ts';

const PlannedVideo = builder.objectRef<PlannedVideoShape>('PlannedVideo').implement({
  fields: (t) => ({
    fileName: t.exposeString('fileName'),
    sourceKey: t.exposeString('sourceKey', { nullable: true }),
    name: t.exposeString('name'),
    externalId: t.exposeString('externalId', { nullable: true }),
    size: t.expose('size', { type: 'BigInt', nullable: true }),
    duration: t.exposeFloat('duration', { nullable: true }),
    width: t.exposeInt('width', { nullable: true }),
    height: t.exposeInt('height', { nullable: true }),
    skipReason: t.expose('skipReason', { type: SkipReason, nullable: true }),
    existingVideo: t.drizzleField({
      type: Video,
      nullable: true,
      resolve: async (query, { existingVideoId }, _args, { db }) =>
        existingVideoId === null
          ? null
          : await db.query.videos.findFirst(query({ where: { id: existingVideoId } })),
    }),
    error: t.field({ type: TaskError, nullable: true, resolve: ({ error }) => error }),
  }),
});

const ImportPlan = builder.objectRef<ImportPlanShape>('ImportPlan').implement({
  description: 'The lists hold the first 100 of each; the counts count all.',
  fields: (t) => ({
    found: t.exposeInt('found'),
    acceptedCount: t.exposeInt('acceptedCount'),
    skippedCount: t.exposeInt('skippedCount'),
    rejectedCount: t.exposeInt('rejectedCount'),
    undecidedCount: t.exposeInt('undecidedCount', {
      description: 'Listed, and not judged when the time was up.',
    }),
    accepted: t.expose('accepted', { type: [PlannedVideo], complexity: FULL_PAGE_COST }),
    skipped: t.expose('skipped', { type: [PlannedVideo], complexity: FULL_PAGE_COST }),
    rejected: t.expose('rejected', { type: [PlannedVideo], complexity: FULL_PAGE_COST }),
    bytesTotal: t.expose('bytesTotal', {
      type: 'BigInt',
      nullable: true,
      description: 'Of the accepted videos; null when the size of one is unknown.',
    }),
    exceededLimits: t.expose('exceededLimits', {
      type: [UsageLimit],
      description: 'The limits that the accepted videos would pass.',
    }),
  }),
});

const ImportPlanSuccess = builder
  .objectRef<{ readonly plan: ImportPlanShape }>('ImportPlanSuccess')
  .implement({
    fields: (t) => ({ plan: t.expose('plan', { type: ImportPlan }) }),
  });

builder.queryField('importPlan', (t) =>
  t.field({
    scope: 'WRITE',
    type: ImportPlanSuccess,
    description:
      'What startImport would do with this input (idempotencyKey ignored), as far as can be told within the planning time, without doing it. A file that must be read whole to be known may be accepted and still end SKIPPED.',
    args: { input: t.arg({ type: StartImportInput, required: true }) },
    errors: {
      types: [InvalidInputError, NotFoundError, SourceUnavailableError],
      union: { name: 'ImportPlanResult' },
    },
    resolve: async (_root, { input }, { services, viewer }) => ({
      plan: await planOfImport(services, viewer, input),
    }),
  }),
);
