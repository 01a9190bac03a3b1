import {
  AV_NOPTS_VALUE,
  AV_PKT_DATA_DISPLAYMATRIX,
  AVCOL_TRC_ARIB_STD_B67,
  AVCOL_TRC_SMPTE2084,
  type AVColorTransferCharacteristic,
  AVMEDIA_TYPE_AUDIO,
} from 'node-av/constants';
import type { Stream } from 'node-av/lib';
import { decodeCleanPicture } from '../decode.ts';
import { type OpenVideo, withOpenVideoFile } from '../demux.ts';
import { createPacketReader, unitOf } from '../packets.ts';
import { rotationOf, type Size, shownSize } from '../picture.ts';
import { hasHdrTransfer, pixelAspectIn, rotationIn } from '../probe.ts';
import { canDecodeAudio } from './audio-decoder.ts';
import { isPlayableAudio, isPlayableVideo, needsStandIn } from './codecs.ts';

/** How dark and bright are written down, as HLS names it. */
export type VideoRange = 'SDR' | 'PQ' | 'HLG';

/** What is known of a file's pictures before any of them is written. */
export interface VideoFacts {
  /** Its number among the file's streams, and its own number in an MP4. */
  readonly stream: number;
  readonly id: number;
  /** Whether players take it as it is. */
  readonly playable: boolean;
  /** Pixels as shown, by the header. */
  readonly shown: Size;
  readonly range: VideoRange;
}

export interface AudioFacts {
  readonly stream: number;
  readonly id: number;
  readonly playable: boolean;
  /** Whether so many players refuse it that an encoded one has to stand beside it. */
  readonly needsStandIn: boolean;
}

/** What is known of a file before anything is made of it. */
export interface SourceFacts {
  readonly video: VideoFacts;
  /** The best sound; null where there is none that can be copied or decoded. */
  readonly audio: AudioFacts | null;
  /** Seconds on the file's own clock where the presentation begins. */
  readonly origin: number;
  /** Whether what comes before the origin is left out: it begins in the middle of a broadcast, before a picture that can be decoded. */
  readonly trimsStart: boolean;
}

/** What a picture shows, once one was decoded. */
export interface PictureLook {
  readonly shown: Size;
  /** Degrees clockwise by which a picture is turned when shown. */
  readonly rotation: number;
  readonly hdr: boolean;
}

/** A broadcast has a key picture every few seconds; without one in so many packets there is none. */
const MOST_PACKETS = 1200;
/** Players wait for so much of a gap, and jump over a longer one. */
const LATEST_SECONDS = 0.5;

/**
 * Reads the beginning of a file.
 * @throws {MediaRejectedError} when it cannot be read.
 */
export function readSourceFacts(path: string): Promise<SourceFacts> {
  return withOpenVideoFile(path, async (video) => {
    const audio = findAudio(video);
    const key = await findKeyPicture(video);
    const starts = [video.stream, ...(audio ? [audio] : [])].map(startOf).filter((start) => start !== null);
    const trimsStart = key?.at !== undefined && !key.isFirst;
    return {
      video: factsOf(video, key !== null),
      audio: audio && {
        stream: audio.index,
        id: audio.id,
        playable: isPlayableAudio(audio.codecpar) && !isLate(audio, video.stream),
        needsStandIn: needsStandIn(audio.codecpar) && canDecodeAudio(audio),
      },
      origin: trimsStart ? key.at : Math.min(...(starts.length > 0 ? starts : [key?.at ?? 0])),
      trimsStart,
    };
  });
}

/**
 * Decodes the first picture of a file that has no flaw.
 * @throws {MediaRejectedError} when there is none.
 */
export function readPictureLook(path: string): Promise<PictureLook> {
  return withOpenVideoFile(path, async (video) => {
    const packets = createPacketReader(video);
    try {
      const picture = await decodeCleanPicture(video, packets);
      const rotation = rotationIn(video, picture);
      const shown = shownSize(picture, pixelAspectIn(video, picture), rotation);
      return { shown, rotation, hdr: hasHdrTransfer(video, picture) };
    } finally {
      packets.free();
    }
  });
}

/** Whether sound begins so long after the pictures that players would skip those: encoded, it begins with silence. */
function isLate(audio: Stream, video: Stream): boolean {
  return (startOf(audio) ?? 0) - (startOf(video) ?? 0) > LATEST_SECONDS && canDecodeAudio(audio);
}

/** The sound that belongs to the pictures, if anything can be made of it. */
function findAudio({ context, stream }: OpenVideo): Stream | null {
  const best = context.findBestStream(AVMEDIA_TYPE_AUDIO, -1, stream.index);
  const audio = context.streams.find(({ index }) => index === best);
  return audio && (isPlayableAudio(audio.codecpar) || canDecodeAudio(audio)) ? audio : null;
}

function factsOf({ stream }: OpenVideo, hasKey: boolean): VideoFacts {
  const { codecpar } = stream;
  const told = stream.sampleAspectRatio.num > 0 ? stream.sampleAspectRatio : codecpar.sampleAspectRatio;
  const aspect = told.num > 0 && told.den > 0 ? told.num / told.den : 1;
  const rotation = rotationOf(codecpar.getCodedSideData(AV_PKT_DATA_DISPLAYMATRIX));
  return {
    stream: stream.index,
    id: stream.id,
    playable: hasKey && isPlayableVideo(codecpar),
    shown: shownSize({ width: codecpar.width, height: codecpar.height }, aspect, rotation),
    range: rangeOf(codecpar.colorTrc),
  };
}

function rangeOf(transfer: AVColorTransferCharacteristic): VideoRange {
  if (transfer === AVCOL_TRC_SMPTE2084) return 'PQ';
  return transfer === AVCOL_TRC_ARIB_STD_B67 ? 'HLG' : 'SDR';
}

/** Seconds, or null where it is not known. */
function startOf(stream: Stream): number | null {
  return stream.startTime === AV_NOPTS_VALUE ? null : Number(stream.startTime) * unitOf(stream);
}

/** The first picture that decoding can begin with: when it is shown, in seconds, and whether none comes before it. */
async function findKeyPicture(
  video: OpenVideo,
): Promise<{ readonly at: number; readonly isFirst: boolean } | null> {
  const packets = createPacketReader(video);
  try {
    for (let count = 0; count < MOST_PACKETS; count++) {
      const packet = await packets.next();
      if (!packet) return null;
      if (!packet.isKeyframe) continue;
      const stamp = packet.pts === AV_NOPTS_VALUE ? packet.dts : packet.pts;
      const at = stamp === AV_NOPTS_VALUE ? 0 : Number(stamp) * unitOf(video.stream);
      return { at, isFirst: count === 0 };
    }
    return null;
  } finally {
    packets.free();
  }
}
