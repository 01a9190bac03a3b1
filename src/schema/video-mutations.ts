import { deleteVideo } from '../services/delete-video.ts';
import { InvalidInputError, NotFoundError, RateLimitedError } from '../services/errors.ts';
import { reindexVideo } from '../services/reindex-video.ts';
import { updateVideo } from '../services/update-video.ts';
import { builder } from './builder.ts';
import { deletedSuccess, taskSuccess } from './success.ts';
import { Video } from './video.ts';

const UpdateVideoInput = builder.inputType('UpdateVideoInput', {
  description:
    "What is left out stays as it is; null clears it, and takes the name back to the file's. metadata given replaces all of it.",
  fields: (t) => ({
    id: t.id({ required: true }),
    name: t.string({ description: '1 to 255 characters.' }),
    description: t.string({ description: 'Up to 511 characters.' }),
    metadata: t.field({ type: 'Metadata' }),
  }),
});

const UpdateVideoSuccess = builder.objectRef<{ readonly videoId: string }>('UpdateVideoSuccess').implement({
  fields: (t) => ({
    video: t.drizzleField({
      type: Video,
      resolve: async (query, { videoId }, _args, { db }) => {
        const row = await db.query.videos.findFirst(query({ where: { id: videoId } }));
        if (!row) throw new Error(`video ${videoId} is gone`);
        return row;
      },
    }),
  }),
});

const ReindexVideoInput = builder.inputType('ReindexVideoInput', {
  description: 'One of the two must be true.',
  fields: (t) => ({
    id: t.id({ required: true }),
    fullIngestion: t.boolean({
      required: true,
      defaultValue: true,
      description: 'The analyzers of the index run, and HLS is made.',
    }),
    enableVideoStream: t.boolean({
      required: true,
      defaultValue: false,
      description: 'HLS is made, whatever fullIngestion says.',
    }),
  }),
});

builder.mutationFields((t) => ({
  reindexVideo: t.field({
    scope: 'WRITE',
    isRateLimited: true,
    type: taskSuccess('ReindexVideoSuccess'),
    description:
      "Runs the index's analyzers, or makes HLS, for a video that is there: a new task, which ends UPDATED. What it makes takes the place of what was there; what it does not make stays.",
    args: { input: t.arg({ type: ReindexVideoInput, required: true }) },
    errors: {
      types: [InvalidInputError, NotFoundError, RateLimitedError],
      union: { name: 'ReindexVideoResult' },
    },
    resolve: async (_root, { input }, { services, viewer }) => ({
      taskId: await reindexVideo(services, viewer, input),
    }),
  }),
  updateVideo: t.field({
    scope: 'WRITE',
    type: UpdateVideoSuccess,
    args: { input: t.arg({ type: UpdateVideoInput, required: true }) },
    errors: { types: [InvalidInputError, NotFoundError], union: { name: 'UpdateVideoResult' } },
    resolve: async (_root, { input }, { services, viewer }) => ({
      videoId: await updateVideo(services, viewer, input),
    }),
  }),
  deleteVideo: t.field({
    scope: 'WRITE',
    type: deletedSuccess('DeleteVideoSuccess'),
    description:
      'With its bytes. Its finished tasks stay, with video null; unfinished ones end as CANCELED. The next import of the same source brings it in again.',
    args: { id: t.arg.id({ required: true }) },
    errors: { types: [NotFoundError], union: { name: 'DeleteVideoResult' } },
    resolve: async (_root, { id }, { services, viewer }) => {
      await deleteVideo(services, viewer, id);
      return { deletedId: id };
    },
  }),
}));
