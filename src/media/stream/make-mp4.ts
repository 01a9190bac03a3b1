import { AVDISCARD_ALL } from 'node-av/constants';
import type { CodecContext, Stream } from 'node-av/lib';
import { type OpenVideo, withOpenVideoFile } from '../demux.ts';
import type { Size } from '../picture.ts';
import { encodeAudioTrack, openAudioEncoder } from './audio-track.ts';
import { fitting } from './copy-misfit.ts';
import { copyTrack } from './copy-track.ts';
import { type Mp4Writer, openMp4Writer, type WrittenTrack } from './mp4-writer.ts';
import { type PumpedTrack, pumpPackets } from './pump.ts';
import type { PictureLook } from './source-facts.ts';
import { openVideoEncoder } from './video-encoder.ts';
import { encodeVideoTrack } from './video-track.ts';

/** One track to be made. `stream`: its number in the source. */
export type TrackOrder = { readonly name: string; readonly stream: number } & (
  | { readonly how: 'COPY' }
  | { readonly how: 'ENCODE_SOUND' }
  | { readonly how: 'ENCODE_PICTURES'; readonly size: Size }
);

export interface Mp4Order {
  /** At least one; those of encoded pictures are all of one stream. */
  readonly tracks: readonly TrackOrder[];
  /** Needed where pictures are encoded. */
  readonly look: PictureLook | null;
  /** Seconds of the source's clock that become 0. */
  readonly origin: number;
  /** Whether what ends before the origin is left out. */
  readonly trimsStart: boolean;
}

/** A track that was made: its number in the MP4, null when nothing came of it. */
export interface MadeTrack {
  readonly name: string;
  readonly id: number | null;
}

/**
 * Makes a plain MP4 of a file's tracks, some as they are, some encoded anew, in one reading of it.
 * @param onProgress is told 0 to 1.
 * @throws {CopyMisfitError} when what was to be copied does not fit.
 * @throws {MediaRejectedError} when the file cannot be read or decoded.
 * @throws {FFmpegError} when the MP4 cannot be written.
 */
export function makeMp4(
  { source, target }: { readonly source: string; readonly target: string },
  order: Mp4Order,
  onProgress: (fraction: number) => void,
): Promise<readonly MadeTrack[]> {
  return withOpenVideoFile(source, async (video) => {
    const writer = openMp4Writer(target);
    const making = createMaking(video, writer, order);
    try {
      await making.run(onProgress);
      return making.made();
    } finally {
      making.free();
      await writer.close();
    }
  });
}

interface Making {
  run(onProgress: (fraction: number) => void): Promise<void>;
  made(): readonly MadeTrack[];
  free(): void;
}

function createMaking(video: OpenVideo, writer: Mp4Writer, order: Mp4Order): Making {
  const contexts: CodecContext[] = [];
  const pumped: PumpedTrack[] = [];
  const written: { readonly name: string; readonly track: WrittenTrack }[] = [];
  const copied = order.tracks.filter(({ how }) => how === 'COPY').map(({ stream }) => stream);

  function streamOf(index: number): Stream {
    const stream = video.context.streams[index];
    if (!stream) throw new Error(`The file has no stream ${index} any more`);
    return stream;
  }

  function add(name: string, track: WrittenTrack): WrittenTrack {
    written.push({ name, track });
    return track;
  }

  function encode(name: string, context: CodecContext): { context: CodecContext; track: WrittenTrack } {
    contexts.push(context);
    return { context, track: add(name, writer.addEncoded(context)) };
  }

  function addSimple(task: TrackOrder): void {
    const stream = streamOf(task.stream);
    if (task.how === 'COPY') {
      const track = fitting([task.stream], () => add(task.name, writer.addCopy(stream)));
      pumped.push({ stream, work: copyTrack(stream, track), copies: true });
    } else if (task.how === 'ENCODE_SOUND') {
      const { context, track } = encode(task.name, openAudioEncoder(stream));
      pumped.push({ stream, work: encodeAudioTrack(stream, context, track), copies: false });
    }
  }

  async function addPictures(): Promise<void> {
    const tasks = order.tracks.filter((task) => task.how === 'ENCODE_PICTURES');
    const [first] = tasks;
    if (!first) return;
    if (!order.look) throw new Error('Nobody has looked at the pictures that are to be encoded');
    const { look } = order;
    const stream = streamOf(first.stream);
    const renditions = tasks.map(({ name, size }) => ({
      size,
      ...encode(name, openVideoEncoder({ stream, size, wasHdr: look.hdr })),
    }));
    pumped.push({ stream, work: await encodeVideoTrack(stream, look, renditions), copies: false });
  }

  return {
    async run(onProgress) {
      for (const task of order.tracks) addSimple(task);
      await addPictures();
      for (const { index } of video.context.streams) {
        if (pumped.every(({ stream }) => stream.index !== index)) streamOf(index).discard = AVDISCARD_ALL;
      }
      fitting(copied, () => writer.begin());
      await pumpPackets(video, { ...order, tracks: pumped, onProgress });
      fitting(copied, () => writer.end());
    },
    made: () => written.map(({ name, track }) => ({ name, id: track.packets() > 0 ? track.id : null })),
    free() {
      for (const { work } of pumped) work.free();
      for (const context of contexts) context.freeContext();
    },
  };
}
