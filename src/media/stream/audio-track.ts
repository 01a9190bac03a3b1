import {
  AV_CHANNEL_LAYOUT_STEREO,
  AV_CHANNEL_ORDER_UNSPEC,
  AV_NOPTS_VALUE,
  AV_SAMPLE_FMT_FLTP,
  type AVSampleFormat,
} from 'node-av/constants';
import {
  avChannelLayoutDefault,
  avChannelLayoutDescribe,
  avGetSampleFmtName,
  type CodecContext,
  Frame,
  type Packet,
  Rational,
  type Stream,
} from 'node-av/lib';
import { unitOf } from '../packets.ts';
import { openAudioDecoder } from './audio-decoder.ts';
import { encodeInto, openEncoder } from './encoder.ts';
import { type FilterPipe, openFilterPipe } from './filter-pipe.ts';
import type { WrittenTrack } from './mp4-writer.ts';
import type { SourceTrack } from './source-track.ts';

const BITS_A_SECOND = 128_000n;
/** Samples that a packet of AAC holds. */
const FRAME_SIZE = 1024;

/**
 * An encoder of AAC in stereo, opened: FFmpeg's own, for the licence of the other one does not go with the rest.
 * @throws {FFmpegError}
 */
export function openAudioEncoder(stream: Stream): CodecContext {
  const rate = stream.codecpar.sampleRate % 11_025 === 0 ? 44_100 : 48_000;
  return openEncoder('aac', (context) => {
    context.sampleRate = rate;
    context.sampleFormat = AV_SAMPLE_FMT_FLTP;
    context.channelLayout = AV_CHANNEL_LAYOUT_STEREO;
    context.timeBase = new Rational(1, rate);
    context.bitRate = BITS_A_SECOND;
  });
}

/**
 * Decodes a stream's sound and encodes it anew. What is damaged is left out, and silence fills gaps; so it does before the
 * sound begins.
 * @throws {FFmpegError} when the stream's decoder does not open.
 */
export function encodeAudioTrack(stream: Stream, context: CodecContext, track: WrittenTrack): SourceTrack {
  const decoder = openAudioDecoder(stream);
  const encoder = encodeInto(track, context);
  const frame = new Frame();
  frame.alloc();
  const grid = openFilterPipe(gridFilters(context.sampleRate));
  let pipe: FilterPipe | undefined;
  let format: string | undefined;
  const seconds = unitOf(stream);
  /** When the next frame is due, for those that tell no time. */
  let due = 0n;

  function encode(): void {
    for (const samples of grid.read(0)) encoder.encode(samples);
  }

  function drain(): void {
    for (const samples of pipe?.read(0) ?? []) {
      grid.feed(samples);
      encode();
    }
  }

  function endPipe(): void {
    pipe?.feed(null);
    drain();
    pipe?.free();
    pipe = undefined;
  }

  function filter(): void {
    frame.pts = frame.bestEffortTimestamp === AV_NOPTS_VALUE ? due : frame.bestEffortTimestamp;
    due = frame.pts + BigInt(Math.round(frame.nbSamples / frame.sampleRate / seconds));
    if (frame.channelLayout.order === AV_CHANNEL_ORDER_UNSPEC)
      frame.channelLayout = avChannelLayoutDefault(frame.channels);
    const its = formatOf(frame, stream);
    if (its !== format) {
      endPipe();
      pipe = openFilterPipe(`abuffer@in=${its},${conversionTo(context.sampleRate)},abuffersink@0`);
      format = its;
    }
    pipe?.feed(frame);
    drain();
  }

  function decode(packet: Packet | null): void {
    // A packet that cannot be decoded is a moment of silence.
    decoder.sendPacketSync(packet);
    while (decoder.receiveFrameSync(frame) >= 0) {
      if (frame.nbSamples > 0 && frame.sampleRate > 0 && frame.channels > 0) filter();
      frame.unref();
    }
  }

  return {
    take: decode,
    async end() {
      decode(null);
      endPipe();
      grid.feed(null);
      encode();
      await encoder.finish();
    },
    free() {
      pipe?.free();
      grid.free();
      encoder.free();
      frame.free();
      decoder.freeContext();
    },
  };
}

/** The beginning of a graph for frames such as this one. */
function formatOf(frame: Frame, stream: Stream): string {
  // A frame of sound has a format of samples; the type also allows for those of pixels.
  const format = avGetSampleFmtName(frame.format as AVSampleFormat);
  const { num, den } = stream.timeBase;
  return [
    `time_base=${num}/${den}`,
    `sample_rate=${frame.sampleRate}`,
    `sample_fmt=${format}`,
    `channel_layout=${avChannelLayoutDescribe(frame.channelLayout)}`,
  ].join(':');
}

/** Filters to samples as the encoder takes them, with the times of the frames. */
function conversionTo(rate: number): string {
  return `aresample=${rate},aformat=sample_fmts=fltp:sample_rates=${rate}:channel_layouts=stereo`;
}

/**
 * A graph that lays samples along their times, in packets; the first ones are those of time 0. It is one for the whole track:
 * where the format changes in the middle no packet may be left half full, for the encoder takes that for the end.
 */
function gridFilters(rate: number): string {
  return [
    `abuffer@in=time_base=1/${rate}:sample_rate=${rate}:sample_fmt=fltp:channel_layout=stereo`,
    `aresample=${rate}:async=1000:first_pts=0`,
    'aformat=sample_fmts=fltp:channel_layouts=stereo',
    `asetnsamples=n=${FRAME_SIZE}:p=0`,
    'abuffersink@0',
  ].join(',');
}
