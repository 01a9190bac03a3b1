import { AV_CODEC_ID_HEVC } from 'node-av/constants';
import {
  type CodecContext,
  FFmpegError,
  FormatContext,
  type Packet,
  type Rational,
  type Stream,
} from 'node-av/lib';

/** A track of the file that is being written. */
export interface WrittenTrack {
  /** From 1 on, in the order in which tracks were added. */
  readonly id: number;
  /** The unit of the packets' times; known when the header is written. */
  unit(): Rational;
  /**
   * Writes a packet whose times are in `unit`.
   * @throws {FFmpegError} when it cannot be written.
   */
  write(packet: Packet): void;
  /** How many were written. */
  packets(): number;
}

/** A plain MP4 that is being written. */
export interface Mp4Writer {
  /** Adds a track that is taken over from a source as it is. */
  addCopy(stream: Stream): WrittenTrack;
  /** Adds a track that an opened encoder makes. */
  addEncoded(context: CodecContext): WrittenTrack;
  /** @throws {FFmpegError} */
  begin(): void;
  /** @throws {FFmpegError} */
  end(): void;
  close(): Promise<void>;
}

/**
 * Begins a plain MP4 at a path.
 * @throws {FFmpegError} when it cannot be written there.
 */
export function openMp4Writer(path: string): Mp4Writer {
  const output = new FormatContext();
  FFmpegError.throwIfError(output.allocOutputContext2(null, 'mp4', `file:${path}`), 'muxer');
  // Delays of tracks are written in the unit of the movie, and a millisecond would be too coarse for a sound.
  FFmpegError.throwIfError(output.setOption('movie_timescale', '90000'), 'movie_timescale');

  function add(prepare: (stream: Stream) => void): WrittenTrack {
    const stream = output.newStream(null);
    prepare(stream);
    const { index } = stream;
    let unit: Rational | undefined;
    let packets = 0;
    return {
      id: index + 1,
      packets: () => packets,
      unit: () => {
        unit ??= stream.timeBase;
        return unit;
      },
      write(packet) {
        packet.streamIndex = index;
        // Not interleaved: the file is cut by track at once, and nothing waits in memory for another track.
        FFmpegError.throwIfError(output.writeFrameSync(packet), 'packet');
        packets += 1;
      },
    };
  }

  return {
    addCopy: (source) =>
      add((stream) => {
        FFmpegError.throwIfError(source.codecpar.copy(stream.codecpar), 'parameters');
        stream.codecpar.codecTag = tagOf(source);
        stream.timeBase = source.timeBase;
        stream.avgFrameRate = source.avgFrameRate;
        stream.sampleAspectRatio = source.sampleAspectRatio;
      }),
    addEncoded: (context) =>
      add((stream) => {
        FFmpegError.throwIfError(stream.codecpar.fromContext(context), 'parameters');
        stream.timeBase = context.timeBase;
        stream.avgFrameRate = context.framerate;
        stream.sampleAspectRatio = context.sampleAspectRatio;
      }),
    begin() {
      FFmpegError.throwIfError(output.openOutputSync(), 'output');
      FFmpegError.throwIfError(output.writeHeaderSync(), 'header');
    },
    end() {
      FFmpegError.throwIfError(output.writeTrailerSync(), 'trailer');
      output.closeOutputSync();
    },
    async close() {
      await output[Symbol.asyncDispose]();
    },
  };
}

/** The sample entry of a track: FFmpeg's usual one, but for HEVC, whose parameter sets Apple's players want in the header alone. */
function tagOf({ codecpar }: Stream): number | string {
  return codecpar.codecId === AV_CODEC_ID_HEVC ? 'hvc1' : 0;
}
