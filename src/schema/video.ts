import { tasks } from '../db/tables/tasks.ts';
import { ownedBy, videoWhere } from '../services/filters.ts';
import { hasOneIndex } from '../services/list-indexes.ts';
import { builder } from './builder.ts';
import { DateTimeRange, FloatRange, IntRange, OrderDirection, orderOf, StringFilter } from './filters.ts';
import { countOf, readList, relatedList } from './paging.ts';
import { SystemMetadata } from './system-metadata.ts';
import { Task, TaskConnection, TaskEdge } from './task.ts';

const URL_SELECTION = { columns: { id: true, teamId: true, fileName: true } } as const;

export const Video = builder.drizzleNode('videos', {
  name: 'Video',
  select: { columns: { id: true } },
  description: 'The master record of an imported video.',
  id: { column: (video) => video.id },
  fields: (t) => ({
    team: t.relation('team'),
    index: t.relation('index'),
    systemName: t.exposeString('systemName', { nullable: true }),
    externalId: t.exposeString('externalId', { nullable: true }),
    name: t.exposeString('name'),
    description: t.exposeString('description', { nullable: true }),
    fileName: t.exposeString('fileName'),
    metadata: t.expose('metadata', { type: 'Metadata', nullable: true }),
    systemMetadata: t.field({
      type: SystemMetadata,
      select: { columns: { systemMetadata: true, fileName: true } },
      resolve: ({ systemMetadata, fileName }) => ({ ...systemMetadata, fileName }),
    }),
    sha256: t.exposeString('sha256'),
    urlsExpireAt: t.field({
      type: 'DateTime',
      description: 'Until when the URLs of this answer hold (originalUrl): an hour or more from now.',
      select: URL_SELECTION,
      resolve: ({ id, teamId, fileName }, _args, { mediaUrls }) =>
        mediaUrls.urlFor({ teamId, videoId: id, fileName, kind: 'original' }).expiresAt,
    }),
    originalUrl: t.string({
      description: 'A signed URL to the original file.',
      select: URL_SELECTION,
      resolve: ({ id, teamId, fileName }, _args, { mediaUrls }) =>
        mediaUrls.urlFor({ teamId, videoId: id, fileName, kind: 'original' }).url,
    }),
    tasks: t.connection(
      {
        type: Task,
        ...relatedList({
          table: 'tasks',
          type: 'Task',
          owner: tasks.videoId,
          order: { list: 'video.tasks', by: 'createdAt', direction: 'desc' },
        }),
      },
      TaskConnection,
      TaskEdge,
    ),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime' }),
    indexedAt: t.expose('indexedAt', {
      type: 'DateTime',
      nullable: true,
      description:
        'When indexing was last done with it; null until then: the video can be played, its analysis is not complete.',
    }),
  }),
});

const VideoEdge = builder.edgeObject({ type: Video, name: 'VideoEdge', nodeNullable: false });
const VideoConnection = builder.connectionObject(
  {
    type: Video,
    name: 'VideoConnection',
    nodeNullable: false,
    edgesNullable: { list: false, items: false },
    fields: (t) => ({ totalCount: t.int({ resolve: countOf }) }),
  },
  VideoEdge,
);

const MetadataFilter = builder.inputType('MetadataFilter', {
  description: 'One of equals, in and exists; equals and in compare type and value.',
  fields: (t) => ({
    key: t.string({ required: true }),
    equals: t.field({ type: 'JSON' }),
    in: t.field({ type: ['JSON'] }),
    exists: t.boolean(),
  }),
});

const VideoFilter = builder.inputType('VideoFilter', {
  fields: (t) => ({
    indexId: t.id(),
    teamId: t.id(),
    systemName: t.string(),
    externalId: t.field({ type: StringFilter }),
    fileName: t.field({ type: StringFilter }),
    name: t.field({ type: StringFilter }),
    duration: t.field({ type: FloatRange }),
    width: t.field({ type: IntRange }),
    height: t.field({ type: IntRange }),
    createdAt: t.field({ type: DateTimeRange }),
    updatedAt: t.field({ type: DateTimeRange }),
    metadata: t.field({ type: [MetadataFilter], description: 'All must hold.' }),
  }),
});
const VideoOrderField = builder.enumType('VideoOrderField', {
  values: ['CREATED_AT', 'UPDATED_AT'] as const,
});
const VideoOrder = builder.inputType('VideoOrder', {
  fields: (t) => ({
    field: t.field({ type: VideoOrderField, required: true }),
    direction: t.field({ type: OrderDirection, required: true }),
  }),
});

builder.queryFields((t) => ({
  video: t.drizzleField({
    type: Video,
    nullable: true,
    args: { id: t.arg.id({ required: true }) },
    resolve: async (query, _root, { id }, { db, viewer }) => {
      const where = ownedBy(viewer, 'Video', id);
      return where && (await db.query.videos.findFirst(query({ where })));
    },
  }),
  videos: t.connection(
    {
      type: Video,
      args: { filter: t.arg({ type: VideoFilter }), orderBy: t.arg({ type: VideoOrder }) },
      resolve: (_root, args, context, info) => {
        const filter = args.filter ?? {};
        const where = videoWhere(context.viewer, filter);
        const order = { list: 'videos', ...orderOf(args.orderBy) } as const;
        return readList(
          { args, context, info },
          { table: 'videos', order, where, hasOneIndex: hasOneIndex(filter, order.by) },
        );
      },
    },
    VideoConnection,
    VideoEdge,
  ),
}));
