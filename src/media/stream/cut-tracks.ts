import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { broken } from '../errors.ts';
import { CopyMisfitError, isRefusal } from './copy-misfit.ts';
import { type CutTrack, cutMp4 } from './cut-mp4.ts';
import { type MadeTrack, makeMp4, type TrackOrder } from './make-mp4.ts';
import { type Mp4, readMp4 } from './mp4.ts';
import { beginOf } from './placement.ts';
import { SilentTrackError } from './silent-track.ts';
import type { PictureLook, SourceFacts } from './source-facts.ts';
import type { PlannedPictures, PlannedTrack, StreamPlan } from './stream-plan.ts';

export interface CutTracksOptions {
  readonly path: string;
  /** `stream/` is made in it. */
  readonly folder: string;
  readonly handle: FileHandle;
  /** The file's own index, when it is a plain MP4. */
  readonly mp4: Mp4 | null;
  readonly plan: StreamPlan;
  readonly facts: SourceFacts;
  /** Needed when pictures are encoded. */
  readonly look: PictureLook | null;
  /** Is told 0 to 1. */
  readonly report: (fraction: number) => void;
}

export interface CutTracks {
  /** In the order of the plan. */
  readonly pictures: readonly { readonly planned: PlannedPictures; readonly cut: CutTrack }[];
  readonly sounds: readonly CutTrack[];
}

/** Of the work of making an MP4 in between and cutting it: cutting is next to nothing beside encoding, and as much as copying. */
const SHARE_OF_ENCODING = 0.97;
const SHARE_OF_COPYING = 0.5;

/**
 * Makes media playlists of a plan: cut from the file itself, or from a plain MP4 that is made of it first and removed again.
 * @throws {CopyMisfitError} when a stream cannot be copied after all.
 * @throws {SilentTrackError} when nothing comes of the stream of sound.
 * @throws {MediaRejectedError} when the file cannot be read or decoded.
 */
export async function cutTracks(options: CutTracksOptions): Promise<CutTracks> {
  const { plan, mp4, handle, folder, report } = options;
  const planned: readonly PlannedTrack[] = [...plan.pictures, ...plan.sounds];
  const orders = planned.filter(({ track }) => track === null).map(({ order }) => order);
  const own = planned.flatMap(({ name, track }) => (track ? [{ name, track }] : []));
  const share = own.length === 0 ? 1 : shareOf(orders);
  const made = orders.length > 0 ? await cutMade(options, orders, (done) => report(done * share)) : [];
  const onProgress = (done: number) => report(share + done * (1 - share));
  const cut = mp4 && own.length > 0 ? await cutMp4({ mp4, handle, folder, tracks: own, onProgress }) : [];
  const playlists = new Map([...made, ...cut].map((track) => [track.playlist, track]));
  const cutOf = ({ name }: PlannedTrack): CutTrack => {
    const track = playlists.get(`${name}.m3u8`);
    if (!track) throw new Error(`No playlist was made of ${name}`);
    return track;
  };
  return {
    pictures: plan.pictures.map((pictures) => ({ planned: pictures, cut: cutOf(pictures) })),
    sounds: plan.sounds.map(cutOf),
  };
}

function shareOf(orders: readonly TrackOrder[]): number {
  if (orders.length === 0) return 0;
  return orders.some(({ how }) => how !== 'COPY') ? SHARE_OF_ENCODING : SHARE_OF_COPYING;
}

async function cutMade(
  { path, folder, mp4, facts, look }: CutTracksOptions,
  tracks: readonly TrackOrder[],
  report: (fraction: number) => void,
): Promise<readonly CutTrack[]> {
  // Where the stream's files go, so that it goes with them should this process die.
  await mkdir(join(folder, 'stream'), { recursive: true });
  const target = join(folder, 'stream', 'tmp-made.mp4');
  const share = shareOf(tracks);
  const order = {
    tracks,
    look,
    // What is cut from the file itself keeps the file's time, and what is made of it has to go with that.
    origin: mp4 ? beginOf(mp4.tracks) : facts.origin,
    trimsStart: facts.trimsStart && !mp4,
  };
  try {
    const made = await makeMp4({ source: path, target }, order, (done) => report(done * share)).catch(refuse);
    assertMade(made);
    return await cutWhole(target, {
      made,
      tracks,
      folder,
      report: (done) => report(share + done * (1 - share)),
    });
  } finally {
    await rm(target, { force: true });
  }
}

/** What FFmpeg has decoded and cannot encode or write, for its size or its times, is the file's fault. */
function refuse(error: unknown): never {
  throw isRefusal(error) ? broken('no stream can be made of its pictures and its sound') : error;
}

function assertMade(made: readonly MadeTrack[]): void {
  for (const { name, id } of made) {
    if (id !== null) continue;
    if (name.startsWith('sound')) throw new SilentTrackError();
    throw broken('none of its pictures can be decoded');
  }
}

interface CutWholeOptions {
  readonly made: readonly MadeTrack[];
  readonly tracks: readonly TrackOrder[];
  readonly folder: string;
  readonly report: (fraction: number) => void;
}

async function cutWhole(
  path: string,
  { made, tracks, folder, report }: CutWholeOptions,
): Promise<readonly CutTrack[]> {
  const handle = await open(path);
  try {
    const mp4 = await readMp4(handle);
    const cuts = made.flatMap(({ name, id }) => {
      const track = mp4?.tracks.find((candidate) => candidate.id === id);
      return track ? [{ name, track }] : [];
    });
    if (mp4 && cuts.length === made.length)
      return await cutMp4({ mp4, handle, tracks: cuts, folder, begin: 0, onProgress: report });
  } finally {
    await handle.close();
  }
  const copied = tracks.filter(({ how }) => how === 'COPY').map(({ stream }) => stream);
  if (copied.length > 0) throw new CopyMisfitError(copied, 'its tables cannot be cut');
  throw broken('its times make no sense');
}
