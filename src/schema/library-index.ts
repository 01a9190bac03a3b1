import { sql } from 'drizzle-orm';
import type { StoredRequirements } from '../db/tables/indexes.ts';
import { ANALYZERS } from '../db/tables/products.ts';
import { indexWhere, ownedBy } from '../services/filters.ts';
import { type Requirements as RequirementsShape, requirementsOf } from '../services/requirements.ts';
import { builder } from './builder.ts';
import { countOf, readList } from './paging.ts';

const Requirements = builder.objectRef<RequirementsShape>('Requirements').implement({
  description:
    'All bounds inclusive. Judged on the video as it is shown, turned so that its long side is the width: 1080x1920 is judged as 1920x1080, and an aspect ratio of 2.4 allows 2.4:1 and 1:2.4.',
  fields: (t) => ({
    minWidth: t.exposeInt('minWidth'),
    minHeight: t.exposeInt('minHeight'),
    maxWidth: t.exposeInt('maxWidth'),
    maxHeight: t.exposeInt('maxHeight'),
    minAspectRatio: t.exposeFloat('minAspectRatio'),
    maxAspectRatio: t.exposeFloat('maxAspectRatio'),
    minDuration: t.exposeFloat('minDuration'),
    maxDuration: t.exposeFloat('maxDuration'),
    maxSize: t.expose('maxSize', { type: 'BigInt' }),
  }),
});

export const Analyzer = builder.enumType('Analyzer', { values: ANALYZERS });

const OwnRequirements = builder.objectRef<StoredRequirements>('OwnRequirements').implement({
  fields: (t) => ({
    minWidth: t.int({ nullable: true, resolve: (own) => own.minWidth }),
    minHeight: t.int({ nullable: true, resolve: (own) => own.minHeight }),
    maxWidth: t.int({ nullable: true, resolve: (own) => own.maxWidth }),
    maxHeight: t.int({ nullable: true, resolve: (own) => own.maxHeight }),
    minAspectRatio: t.float({ nullable: true, resolve: (own) => own.minAspectRatio }),
    maxAspectRatio: t.float({ nullable: true, resolve: (own) => own.maxAspectRatio }),
    minDuration: t.float({ nullable: true, resolve: (own) => own.minDuration }),
    maxDuration: t.float({ nullable: true, resolve: (own) => own.maxDuration }),
    maxSize: t.field({ type: 'BigInt', nullable: true, resolve: (own) => own.maxSize }),
  }),
});

export const Index = builder.drizzleNode('indexes', {
  name: 'Index',
  select: { columns: { id: true } },
  description: 'Where videos are imported to, with the rules a video must meet to get in.',
  id: { column: (index) => index.id },
  fields: (t) => ({
    team: t.relation('team'),
    name: t.exposeString('name'),
    isDefault: t.exposeBoolean('isDefault'),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime' }),
    analyzers: t.field({
      type: [Analyzer],
      description:
        'What runs on a video that comes in with fullIngestion; all of them unless chosen otherwise. Their requirements hold in any case.',
      select: { columns: { analyzers: true } },
      resolve: ({ analyzers }) => analyzers,
    }),
    requirements: t.field({
      type: Requirements,
      description:
        "The rules in force: the most restrictive of the server's, the index's own and each analyzer's.",
      select: { columns: { requirements: true, analyzers: true } },
      resolve: (index, _args, { services }) => requirementsOf(services.requirements, index),
    }),
    ownRequirements: t.field({
      type: OwnRequirements,
      description: "The index's own rules: null where it has none.",
      select: { columns: { requirements: true } },
      resolve: (index) => index.requirements,
    }),
    videoCount: t.int({
      select: {
        columns: {},
        extras: {
          videoCount: (index) =>
            sql<number>`(select count(*)::int from videos v where v.index_id = ${index.id})`,
        },
      },
      resolve: (index) => index.videoCount,
    }),
  }),
});

const IndexEdge = builder.edgeObject({ type: Index, name: 'IndexEdge', nodeNullable: false });
const IndexConnection = builder.connectionObject(
  {
    type: Index,
    name: 'IndexConnection',
    nodeNullable: false,
    edgesNullable: { list: false, items: false },
    fields: (t) => ({ totalCount: t.int({ resolve: countOf }) }),
  },
  IndexEdge,
);

builder.queryFields((t) => ({
  index: t.drizzleField({
    type: Index,
    nullable: true,
    args: { id: t.arg.id({ required: true }) },
    resolve: async (query, _root, { id }, { db, viewer }) => {
      const where = ownedBy(viewer, 'Index', id);
      return where && (await db.query.indexes.findFirst(query({ where })));
    },
  }),
  indexes: t.connection(
    {
      type: Index,
      args: { teamId: t.arg.id() },
      resolve: (_root, args, context, info) => {
        const where = indexWhere(context.viewer, args.teamId);
        const order = { list: 'indexes', by: 'createdAt', direction: 'desc' } as const;
        return readList({ args, context, info }, { table: 'indexes', order, where, hasOneIndex: true });
      },
    },
    IndexConnection,
    IndexEdge,
  ),
}));
