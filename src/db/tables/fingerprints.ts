import { customType, index, integer, primaryKey, snakeCase, text, uuid } from 'drizzle-orm/pg-core';
import { videos } from './videos.ts';

/** Bytes as the driver gives them. */
const bytes = customType<{ data: Buffer; driverData: Buffer }>({ dataType: () => 'bytea' });

/**
 * What the pictures of a video look like. One without pictures that tell anything has a row without frames: it was looked at.
 * `sha256`: of the content that was looked at; when the video has another one by now, the row says nothing about it.
 */
export const videoFingerprints = snakeCase.table('video_fingerprints', {
  videoId: uuid()
    .primaryKey()
    .references(() => videos.id, { onDelete: 'cascade' }),
  teamId: uuid().notNull(),
  sha256: text().notNull(),
  /** Twelve bytes for each picture, in order of time: when it is shown in milliseconds, and its hash; big-endian. */
  frames: bytes().notNull(),
});

/** Parts of the hashes of a video, so that those with many parts in common are found without a look at any other. */
export const videoFingerprintBands = snakeCase.table(
  'video_fingerprint_bands',
  {
    teamId: uuid().notNull(),
    /** Which quarter of the hash, and its 16 bits. */
    band: integer().notNull(),
    videoId: uuid()
      .notNull()
      .references(() => videoFingerprints.videoId, { onDelete: 'cascade' }),
  },
  (t) => [
    primaryKey({ columns: [t.teamId, t.band, t.videoId] }),
    index('video_fingerprint_bands_video').on(t.videoId),
  ],
);
