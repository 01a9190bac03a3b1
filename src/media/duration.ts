import { AV_NOPTS_VALUE, AVSEEK_FLAG_BACKWARD } from 'node-av/constants';
import { missingAsfBytes } from './asf-size.ts';
import { missingAviBytes } from './avi-size.ts';
import type { ByteSource } from './byte-source.ts';
import type { OpenVideo } from './demux.ts';
import { broken } from './errors.ts';
import { missingMatroskaBytes } from './matroska-size.ts';
import { missingMp4Bytes } from './mp4-boxes.ts';
import { frameRateOf, type PacketReader, unitOf } from './packets.ts';

const LONGEST_SECONDS = 7 * 86_400;
/**
 * How far before its end a file is looked at: less than the distance of two key pictures, which seeking adds
 * by itself.
 */
const TAIL_SECONDS = 1;

/** What a container's header is good for. */
interface Habits {
  /**
   * The header, or what FFmpeg makes of the first and last packets, tells the video stream's own duration.
   */
  readonly tellsVideoDuration: boolean;
  /** The header tells how long the whole is: a file that ends much earlier has lost its end. */
  readonly promisesEnd: boolean;
}

const HABITS: Readonly<Record<string, Habits>> = {
  mov: { tellsVideoDuration: true, promisesEnd: true },
  avi: { tellsVideoDuration: true, promisesEnd: true },
  asf: { tellsVideoDuration: true, promisesEnd: true },
  flv: { tellsVideoDuration: false, promisesEnd: true },
  mxf: { tellsVideoDuration: true, promisesEnd: true },
  // Its segment's size is the better witness: a long subtitle may end after everything else.
  matroska: { tellsVideoDuration: false, promisesEnd: false },
  // A piece of a stream is as good a file as the whole of it.
  mpegts: { tellsVideoDuration: true, promisesEnd: false },
  mpeg: { tellsVideoDuration: true, promisesEnd: false },
  ogg: { tellsVideoDuration: true, promisesEnd: false },
};

/** How each container says how long it is in bytes. */
const MISSING_BYTES: Readonly<Record<string, (source: ByteSource) => Promise<number>>> = {
  mov: missingMp4Bytes,
  matroska: missingMatroskaBytes,
  avi: missingAviBytes,
  asf: missingAsfBytes,
};

/**
 * Throws MediaRejectedError if the file is shorter than its own structure says: the box of an MP4, the
 * segment of a Matroska file, the list of an AVI or the data object of a WMV reaches past the end. Cheap,
 * and also possible for a remote file.
 */
export async function assertWhole({ demuxer, source }: OpenVideo): Promise<void> {
  const missing = (await MISSING_BYTES[familyOf(demuxer)]?.(source)) ?? 0;
  if (missing > 0) throw broken(`it is incomplete, ${missing} bytes are missing at its end`);
}

/** FFmpeg's first name for the demuxer: 'mov' of 'mov,mp4,m4a,3gp,3g2,mj2'. */
function familyOf(demuxer: string): string {
  return demuxer.split(',')[0] ?? '';
}

/**
 * Seconds from the video stream's first timestamp to the end of its last frame. Taken from the header where
 * that tells it; measured at the end of the file, or along the whole of it, where it does not. A local
 * file's end is looked at in any case, and if it lies well before the promised one the file is cut short.
 * Call it after the first packets were read with `packets`. Throws MediaRejectedError.
 */
export async function measureDuration(video: OpenVideo, packets: PacketReader): Promise<number> {
  const habits = HABITS[familyOf(video.demuxer)] ?? {
    tellsVideoDuration: false,
    promisesEnd: false,
  };
  const told = toldDuration(video, habits, packets);
  const trusted = video.source.remote || (told !== null && !habits.promisesEnd);
  if (told !== null && trusted) return told;
  await readTail(video, packets);
  if (packets.times().videoEnd === null) throw broken('it tells no times');
  if (habits.promisesEnd) assertPromiseKept(video, packets);
  const { videoStart, videoEnd } = packets.times();
  const measured = plausible((videoEnd ?? 0) - (videoStart ?? 0));
  if (told !== null && (measured === null || Math.abs(told - measured) <= slackOf(told))) return told;
  if (measured === null) throw broken('its duration cannot be found out');
  return measured;
}

function toldDuration(video: OpenVideo, habits: Habits, packets: PacketReader): number | null {
  const { stream, context, source } = video;
  const family = familyOf(video.demuxer);
  // A fragmented MP4 has no table of all its samples, and what FFmpeg makes of it includes the sound.
  const known = habits.tellsVideoDuration && (family !== 'mov' || stream.nbFrames > 0n || source.remote);
  const own = known ? plausible(seconds(stream.duration, unitOf(stream))) : null;
  if (own !== null || !source.remote) return own;
  // For a remote file what is written down must do, near enough for a verdict; measuring takes up to several MB more.
  const start = packets.times().videoStart ?? 0;
  const whole = plausible(seconds(context.duration, 1e-6));
  if (whole === null || (family !== 'matroska' && family !== 'flv')) return null;
  const tagged = taggedSeconds(stream.metadata?.get('DURATION') ?? null);
  if (tagged !== null && tagged <= whole + 1) return plausible(tagged - start);
  return family === 'flv' || context.streams.length === 1 ? plausible(whole - start) : null;
}

/** Reads the end of the file; all of it if no end is known or seeking leads nowhere. */
async function readTail(video: OpenVideo, packets: PacketReader): Promise<void> {
  const { context, stream } = video;
  const length = plausible(seconds(context.duration, 1e-6));
  const before = packets.times().videoPackets;
  const unit = unitOf(stream);
  if (length !== null && length > 2 * TAIL_SECONDS && unit > 0) {
    const start = seconds(context.startTime, 1e-6) ?? 0;
    const target = BigInt(Math.floor((start + length - TAIL_SECONDS) / unit));
    if ((await context.seekFrame(stream.index, target, AVSEEK_FLAG_BACKWARD)) >= 0) {
      await readToEnd(packets);
      if (packets.times().videoPackets > before) return;
      const from = stream.startTime === AV_NOPTS_VALUE ? 0n : stream.startTime;
      if ((await context.seekFrame(stream.index, from, AVSEEK_FLAG_BACKWARD)) < 0) return;
    }
  }
  await readToEnd(packets);
}

async function readToEnd(packets: PacketReader): Promise<void> {
  while (await packets.next());
}

function assertPromiseKept({ context, stream }: OpenVideo, packets: PacketReader): void {
  const { end, torn } = packets.times();
  const start = seconds(context.startTime, 1e-6) ?? 0;
  const promised = plausible(seconds(context.duration, 1e-6));
  const reached = (end ?? 0) - start;
  const frame = 1 / (frameRateOf(stream) ?? 25);
  const missing = promised === null ? 0 : promised - reached - frame;
  if (missing > slackOf(promised ?? 0) || (torn && missing > 0)) {
    throw broken(
      `it is incomplete, only ${reached.toFixed(1)} of its ${(promised ?? 0).toFixed(1)} seconds are there`,
    );
  }
}

/** By how much headers are wrong without harm. */
function slackOf(duration: number): number {
  return Math.max(1, duration * 0.05);
}

function seconds(value: bigint, unit: number): number | null {
  return value === AV_NOPTS_VALUE ? null : Number(value) * unit;
}

function plausible(duration: number | null): number | null {
  return duration !== null && duration > 0 && duration <= LONGEST_SECONDS ? duration : null;
}

/** The seconds of '00:01:02.500000000', as writers of Matroska note them for each track. */
function taggedSeconds(tag: string | null): number | null {
  const match = /^(\d{1,3}):(\d\d):(\d\d(?:\.\d{1,9})?)/.exec(tag ?? '');
  return match ? Number(match[1]) * 3600 + Number(match[2]) * 60 + Number(match[3]) : null;
}
