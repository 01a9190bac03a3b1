import type { Size } from '../picture.ts';
import { evenSize, ladderSizes } from './ladder.ts';
import type { TrackOrder } from './make-mp4.ts';
import type { Mp4 } from './mp4.ts';
import type { PictureLook, SourceFacts, VideoRange } from './source-facts.ts';
import type { Mp4Track } from './track.ts';

/** One media playlist that is to be made. */
export interface PlannedTrack {
  /** Of its files, without their ends. */
  readonly name: string;
  /** Its track in the file itself, when it is cut from that; null: an order has to be carried out first. */
  readonly track: Mp4Track | null;
  readonly order: TrackOrder;
}

export interface PlannedPictures extends PlannedTrack {
  readonly shown: Size;
  readonly range: VideoRange;
}

export interface StreamPlan {
  /** The original first, then ever smaller ones. */
  readonly pictures: readonly PlannedPictures[];
  /** The same sound once, or twice: first the one that every player takes. */
  readonly sounds: readonly PlannedTrack[];
}

export interface PlanOptions {
  readonly facts: SourceFacts;
  /** Pixels of the short sides of further renditions. */
  readonly ladder: readonly number[];
  /** Streams that have turned out not to fit when they were copied. */
  readonly misfits: ReadonlySet<number>;
}

/** Whether pictures are to be encoded at all: then somebody has to look at them first. */
export function encodesPictures({ facts: { video }, ladder, misfits }: PlanOptions): boolean {
  return !video.playable || misfits.has(video.stream) || ladderSizes(video.shown, ladder).length > 0;
}

/**
 * What is made of a file: what players take is copied, the rest encoded.
 * @param mp4 the file's own index, when it is a plain MP4.
 * @param look needed when pictures are encoded.
 */
export function planStream(options: PlanOptions, mp4: Mp4 | null, look: PictureLook | null): StreamPlan {
  const tracks = mp4?.tracks ?? [];
  return { pictures: planPictures(options, tracks, look), sounds: planSounds(options, tracks) };
}

function planPictures(
  { facts: { video }, ladder, misfits }: PlanOptions,
  tracks: readonly Mp4Track[],
  look: PictureLook | null,
): readonly PlannedPictures[] {
  const { stream, id, range } = video;
  const shown = look?.shown ?? video.shown;
  const encoded = (name: string, size: Size): PlannedPictures => ({
    name,
    track: null,
    order: { name, stream, how: 'ENCODE_PICTURES', size },
    shown: size,
    range: 'SDR',
  });
  const original: PlannedPictures =
    video.playable && !misfits.has(stream)
      ? {
          name: 'video',
          track: findTrack(tracks, id, 'video'),
          order: { name: 'video', stream, how: 'COPY' },
          shown,
          range,
        }
      : encoded('video', evenSize(shown));
  const smaller = ladderSizes(shown, ladder).map((size) =>
    encoded(`video-${Math.min(size.width, size.height)}`, size),
  );
  return [original, ...smaller];
}

function planSounds(
  { facts: { audio }, misfits }: PlanOptions,
  tracks: readonly Mp4Track[],
): readonly PlannedTrack[] {
  if (!audio) return [];
  const { stream, id, playable } = audio;
  const encoded: PlannedTrack = {
    name: 'sound',
    track: null,
    order: { name: 'sound', stream, how: 'ENCODE_SOUND' },
  };
  if (!playable || misfits.has(stream)) return [encoded];
  const name = audio.needsStandIn ? 'sound-original' : 'sound';
  const copied: PlannedTrack = {
    name,
    track: findTrack(tracks, id, 'audio'),
    order: { name, stream, how: 'COPY' },
  };
  return audio.needsStandIn ? [encoded, copied] : [copied];
}

/** The track of a plain MP4 that FFmpeg knows by the same number. */
function findTrack(tracks: readonly Mp4Track[], id: number, kind: Mp4Track['kind']): Mp4Track | null {
  const [found, ...others] = tracks.filter((track) => track.id === id && track.kind === kind);
  return found && others.length === 0 ? found : null;
}
