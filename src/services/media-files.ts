import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { and, eq } from 'drizzle-orm';
import { LRUCache } from 'lru-cache';
import type { Database } from '../db/client.ts';
import { teams } from '../db/tables/teams.ts';
import { videos } from '../db/tables/videos.ts';
import { type ByteRange, type Storage, StorageError } from '../storage/adapter.ts';
import type { MediaEpochs } from './media-epochs.ts';
import { typeOfProduct } from './media-paths.ts';
import type { MediaGrant, ProductGrant } from './media-urls.ts';

/** A file as it is served. */
export interface MediaFile {
  /** In bytes. */
  readonly size: number;
  readonly mimeType: string;
  /** Another one for every other content: what stands in an ETag, of A-Z a-z 0-9 _ - only. */
  readonly tag: string;
  /** What it is to be called by who stores it; null for what nobody stores by itself. */
  readonly fileName: string | null;
  /** Opens it, or a part of it; both ends of a range are inclusive. Throws StorageError with reason NOT_FOUND. */
  open(range?: ByteRange): Promise<Readable>;
  /** A URL at which the store itself serves it, until a time; null where it is served from here. */
  locate(options: { readonly until: Date; readonly disposition: string }): Promise<string | null>;
}

/** GONE: there is no such video any more, or no such file. REVOKED: the URL was called back. */
type Found = MediaFile | 'GONE' | 'REVOKED';

/** Finds what media URLs lead to. */
export interface MediaFiles {
  /** The original file of the version that is in place. */
  original(grant: MediaGrant): Promise<Found>;
  /** A file that media work left; its folder and name may be anything that stands in a URL. */
  product(grant: ProductGrant, folder: string, file: string): Promise<Found>;
}

export interface MediaFilesOptions {
  readonly db: Database;
  readonly storage: Storage;
  readonly epochs: Pick<MediaEpochs, 'note'>;
  /** Whether the store serves large files itself, where it can. */
  readonly redirect: boolean;
}

/** What is at a key never changes, and whether its video is there is looked up each time. */
const REMEMBERED = 10_000;
const REMEMBERED_MS = 60_000;

/** Makes the lookup: one statement for each request, by primary keys, and the store is asked once a minute for a size. */
export function createMediaFiles({ db, storage, epochs, redirect }: MediaFilesOptions): MediaFiles {
  const sizes = new LRUCache<string, number>({ max: REMEMBERED, ttl: REMEMBERED_MS });

  async function sizeOf(key: string): Promise<number | null> {
    const known = sizes.get(key);
    if (known !== undefined) return known;
    const stored = await storage.stat(key);
    if (stored !== null) sizes.set(key, stored.size);
    return stored?.size ?? null;
  }

  async function open(key: string, range?: ByteRange): Promise<Readable> {
    try {
      return await storage.read(key, range);
    } catch (error) {
      if (error instanceof StorageError && error.reason === 'NOT_FOUND') sizes.delete(key);
      throw error;
    }
  }

  async function toFile(key: string, facts: Facts): Promise<Found> {
    const size = await sizeOf(key);
    if (size === null) return 'GONE';
    const { mimeType, fileName, isLarge } = facts;
    return {
      size,
      mimeType,
      fileName,
      tag: facts.tag ?? tagOf(key, size),
      open: (range) => open(key, range),
      locate: async ({ until, disposition }) =>
        redirect && isLarge ? await storage.presign(key, { until, mimeType, disposition }) : null,
    };
  }

  const isRevoked = ({ teamId, epoch }: MediaGrant, now: number): boolean => {
    epochs.note(teamId, now);
    return epoch !== now;
  };

  return {
    async original(grant) {
      const [row] = await db.select(ORIGINAL).from(videos).innerJoin(teams, OWNER).where(isGranted(grant));
      if (row === undefined) return 'GONE';
      if (isRevoked(grant, row.epoch)) return 'REVOKED';
      const { storageKey, sha256, fileName, systemMetadata } = row;
      const mimeType = PLAYABLE.test(systemMetadata.mimeType)
        ? systemMetadata.mimeType
        : 'application/octet-stream';
      return await toFile(storageKey, { mimeType, fileName, tag: sha256, isLarge: true });
    },
    async product(grant, folder, file) {
      const [row] = await db.select(EPOCH).from(videos).innerJoin(teams, OWNER).where(isGranted(grant));
      if (row === undefined) return 'GONE';
      if (isRevoked(grant, row.epoch)) return 'REVOKED';
      const mimeType = typeOfProduct(folder, file);
      if (mimeType === null) return 'GONE';
      // Playlists and the like name others by relative URLs, which have to lead back here.
      const isLarge = file.endsWith('.mp4');
      return await toFile(`${grant.prefix}/${folder}/${file}`, {
        mimeType,
        fileName: null,
        tag: null,
        isLarge,
      });
    },
  };
}

/** Every lookup takes the row of the team along, so that what was called back is refused at once. */
const OWNER = eq(teams.id, videos.teamId);
const isGranted = ({ videoId, teamId }: MediaGrant) => and(eq(videos.id, videoId), eq(videos.teamId, teamId));

const EPOCH = { epoch: teams.mediaEpoch };
const ORIGINAL = {
  ...EPOCH,
  storageKey: videos.storageKey,
  sha256: videos.sha256,
  fileName: videos.fileName,
  systemMetadata: videos.systemMetadata,
};

/** It is a stranger's file: what says that it is a page is none here. */
const PLAYABLE = /^(video|audio)\/[\w.+-]+$/;

interface Facts extends Pick<MediaFile, 'mimeType' | 'fileName'> {
  readonly tag: string | null;
  readonly isLarge: boolean;
}

/** Keys are written once only, so that a key says which content it is. */
const tagOf = (key: string, size: number): string =>
  createHash('sha256').update(`${key}:${size}`).digest('base64url').slice(0, 32);
