import { type FileHandle, mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { measureBandwidth } from './bandwidth.ts';
import { copySamples } from './copy-samples.ts';
import { makeMediaPlaylist, type Segment } from './media-playlist.ts';
import type { Mp4 } from './mp4.ts';
import { beginOf } from './placement.ts';
import type { Mp4Track } from './track.ts';
import { planTracks, type TrackPlan } from './track-plan.ts';

export interface CutOptions {
  readonly mp4: Mp4;
  /** Of the file that `mp4` was read from; it stays open. */
  readonly handle: FileHandle;
  /** What is cut, and the names of the files that come of it, without their ends. */
  readonly tracks: readonly { readonly track: Mp4Track; readonly name: string }[];
  /** `stream/` is made in it. */
  readonly folder: string;
  /** Segments last as long or longer, for pictures are cut at sync samples only; 6 unless given. */
  readonly segmentSeconds?: number;
  /** The second of the movie at which the stream begins; when the first of the file's tracks does unless given. */
  readonly begin?: number;
  /** Called with 0 to 1 of the bytes that are copied. */
  readonly onProgress?: (fraction: number) => void;
}

/** A track as HLS. */
export interface CutTrack {
  /** The names of its playlist and of the file with all segments, in the folder `stream`. */
  readonly playlist: string;
  readonly file: string;
  readonly kind: Mp4Track['kind'];
  /** As in RFC 6381. */
  readonly codecs: string;
  /** Four letters, such as hvc1. */
  readonly sampleEntry: string;
  /** Pixels as coded, neither turned nor made square; 0 of a sound. */
  readonly width: number;
  readonly height: number;
  /** Pictures a second, on average; null of a sound. */
  readonly frameRate: number | null;
  /** Of a sound; 0 of pictures. */
  readonly channels: number;
  /** Three letters of ISO 639-2; und: nobody said. */
  readonly language: string;
  /** Seconds from its first sample to the end of its last. */
  readonly duration: number;
  /** Bits a second: the most that a segment takes, and all of them together. */
  readonly bandwidth: number;
  readonly averageBandwidth: number;
  readonly segments: readonly Segment[];
}

const SEGMENT_SECONDS = 6;

/**
 * Cuts tracks of a plain MP4 into HLS of CMAF, one file and one playlist for each, reading the input once. The samples
 * stay as they are. Memory does not grow with the file, but for its index.
 * @returns one result for each track, in the order asked for
 * @throws {MediaRejectedError} VIDEO_FILE_BROKEN when the file ends before its samples do.
 */
export async function cutMp4(options: CutOptions): Promise<readonly CutTrack[]> {
  const { mp4, handle, tracks, folder, segmentSeconds = SEGMENT_SECONDS, onProgress = () => {} } = options;
  const streamFolder = join(folder, 'stream');
  await mkdir(streamFolder, { recursive: true });
  const plans = planTracks({
    tracks: tracks.map(({ track }) => track),
    seconds: segmentSeconds,
    // All tracks count, so that tracks that are cut one by one go together, too.
    begin: options.begin ?? beginOf(mp4.tracks),
  });
  const outputs: FileHandle[] = [];
  try {
    for (const { name } of tracks) outputs.push(await open(join(streamFolder, `${name}.mp4`), 'w'));
    const segments = await copySamples({ plans, input: handle, outputs, onProgress });
    return await Promise.all(
      plans.map(async (plan, index) => {
        const cut = describe(plan, tracks[index]?.name ?? '', segments[index] ?? []);
        const text = makeMediaPlaylist({ ...cut, initBytes: plan.init.length });
        await writeFile(join(streamFolder, cut.playlist), text);
        return cut;
      }),
    );
  } finally {
    await Promise.all(outputs.map((output) => output.close()));
  }
}

function describe({ track }: TrackPlan, name: string, segments: readonly Segment[]): CutTrack {
  const { kind, entry, samples, timescale, language } = track;
  const duration = samples.duration / timescale;
  const { peak, average } = measureBandwidth(segments);
  return {
    playlist: `${name}.m3u8`,
    file: `${name}.mp4`,
    kind,
    codecs: entry.codecs,
    sampleEntry: entry.type,
    width: entry.width,
    height: entry.height,
    frameRate: kind === 'video' ? samples.count / duration : null,
    channels: entry.channels,
    language,
    duration,
    bandwidth: peak,
    averageBandwidth: average,
    segments,
  };
}
