import { tasks } from '../db/tables/tasks.ts';
import { ownedBy, videoWhere } from '../services/filters.ts';
import { videoHls } from '../services/hls-state.ts';
import { hasOneIndex } from '../services/list-indexes.ts';
import { Quality, SCENES_COST, ScanType, Scene } from './analysis.ts';
import { builder } from './builder.ts';
import { DateTimeRange, FloatRange, IntRange, OrderDirection, orderOf, StringFilter } from './filters.ts';
import { HLS_COLUMNS, Hls } from './hls.ts';
import { countOf, readList, relatedList } from './paging.ts';
import { productUrl } from './product-url.ts';
import { readSimilar, SimilarVideo, similarArgs, similarCost } from './similar-video.ts';
import { SystemMetadata } from './system-metadata.ts';
import { Task, TaskConnection, TaskEdge } from './task.ts';

const PICTURE_COLUMNS = { id: true, teamId: true, pictures: true } as const;
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
    hls: t.field({
      type: Hls,
      nullable: true,
      description: 'Null where it was never asked for, and once another version without it has come in.',
      select: { columns: HLS_COLUMNS },
      resolve: (video) => videoHls(video),
    }),
    urlsExpireAt: t.field({
      type: 'DateTime',
      description:
        'Until when the URLs of this answer hold (originalUrl, posterUrl, storyboardUrl, scenes, hls): an hour or more from now.',
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
    posterUrl: t.string({
      nullable: true,
      description: 'Null until THUMBNAILS has run.',
      select: { columns: PICTURE_COLUMNS },
      resolve: ({ pictures, ...video }, _args, { mediaUrls }) =>
        pictures && productUrl(mediaUrls, video, { ...pictures, path: pictures.poster }),
    }),
    storyboardUrl: t.string({
      nullable: true,
      description:
        'Small pictures of the whole video for a seek bar, as WebVTT. Null until THUMBNAILS has run.',
      select: { columns: PICTURE_COLUMNS },
      resolve: ({ pictures, ...video }, _args, { mediaUrls }) =>
        pictures && productUrl(mediaUrls, video, { ...pictures, path: pictures.storyboard }),
    }),
    quality: t.field({
      type: Quality,
      nullable: true,
      description: 'Null until QUALITY has run.',
      select: { columns: { quality: true } },
      resolve: ({ quality }) => quality,
    }),
    scanType: t.field({
      type: ScanType,
      nullable: true,
      description: 'Null until SCAN_TYPE has run.',
      select: { columns: { scanType: true } },
      resolve: ({ scanType }) => scanType,
    }),
    scenes: t.field({
      type: [Scene],
      nullable: true,
      description: 'The first 1,000, in order. Null until SCENES has run.',
      complexity: SCENES_COST,
      select: { columns: { id: true, teamId: true, scenes: true } },
      resolve: ({ scenes, ...video }, _args, { mediaUrls }) =>
        scenes?.scenes.map(({ start, end, thumbnail: path }) => ({
          start,
          end,
          thumbnailUrl: path && productUrl(mediaUrls, video, { ...scenes, path }),
        })),
    }),
    similar: t.field({
      type: [SimilarVideo],
      nullable: true,
      description:
        'Other videos of the team that show the same, such as copies of another size, compression or length, the nearest first. limit: 1 to 50, minSimilarity: 0 to 1. Null as long as FINGERPRINT has not run.',
      args: similarArgs,
      complexity: similarCost,
      select: { columns: { id: true, teamId: true } },
      resolve: (video, args, context, info) => readSimilar(video, { args, context, info }),
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

SimilarVideo.implement({
  description: 'similarity: how much of both is the same, 0 to 1; 1 when all of it looks the same.',
  fields: (t) => ({
    // The row has what is selected of it; the type that a selection gives is not known here.
    video: t.field({ type: Video, resolve: ({ video }) => video as typeof Video.$inferType }),
    similarity: t.exposeFloat('similarity'),
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
