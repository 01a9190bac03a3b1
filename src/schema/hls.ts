import { HLS_STATUSES } from '../db/tables/products.ts';
import type { HlsState } from '../services/hls-state.ts';
import { builder } from './builder.ts';
import { productUrl } from './product-url.ts';

/** What `videoHls` looks at. */
export const HLS_COLUMNS = {
  id: true,
  teamId: true,
  stream: true,
  pictures: true,
  hlsStatus: true,
  hlsUpdatedAt: true,
} as const;

const HlsStatus = builder.enumType('HlsStatus', { values: HLS_STATUSES });

export const Hls = builder.objectRef<HlsState>('Hls').implement({
  description:
    'HLS of a video that it was asked for, by enableVideoStream or fullIngestion. URLs come with COMPLETE; thumbnailUrls are the pictures that THUMBNAILS has made, none where that did not run.',
  fields: (t) => ({
    status: t.expose('status', { type: HlsStatus }),
    videoUrl: t.string({
      nullable: true,
      resolve: ({ video }, _args, { mediaUrls }) =>
        video?.stream == null
          ? null
          : productUrl(mediaUrls, video, { ...video.stream, path: video.stream.playlist }),
    }),
    thumbnailUrls: t.stringList({
      resolve: ({ video }, _args, { mediaUrls }) => {
        const pictures = video?.pictures;
        if (video == null || pictures == null) return [];
        const { prefix, thumbnails } = pictures;
        return thumbnails.map((path) => productUrl(mediaUrls, video, { prefix, path }));
      },
    }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime' }),
  }),
});
