import { rename, rm } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  AV_CODEC_FLAG_GLOBAL_HEADER,
  AV_LOG_ERROR,
  AVFMT_FLAG_BITEXACT,
  AVFMT_GLOBALHEADER,
} from 'node-av/constants';
import { FFmpegError, FormatContext, Log } from 'node-av/lib';
import { openAudioTrack } from './audio-track.ts';
import type { ClipContainer, ClipSpec } from './clip-spec.ts';
import { CLIP_DEFAULTS, partOf } from './clip-spec.ts';
import type { Track } from './encode-track.ts';
import { openVideoTrack } from './video-track.ts';

/** FFmpeg's name of each container's muxer. */
const MUXERS: Readonly<Record<ClipContainer, string>> = {
  mp4: 'mp4',
  m4v: 'mp4',
  mov: 'mov',
  '3gp': '3gp',
  mkv: 'matroska',
  webm: 'webm',
  avi: 'avi',
  flv: 'flv',
  ts: 'mpegts',
  mpg: 'mpeg',
  ogv: 'ogg',
  wmv: 'asf',
  mxf: 'mxf',
};

/** How many frames are encoded before the event loop has a turn, so that the end of the parent is noticed. */
const FRAMES_PER_TURN = 8;

/**
 * Encodes one clip in this process; the file appears under its name when it is whole.
 * @throws {FFmpegError} when FFmpeg cannot make what was asked for (a codec that the container does not take, …).
 */
export async function encodeClip(spec: ClipSpec, path: string): Promise<void> {
  Log.setLevel(AV_LOG_ERROR);
  const part = partOf(path);
  try {
    await writeClip(spec, part);
    await rename(part, path);
  } finally {
    await rm(part, { force: true });
  }
}

async function writeClip(spec: ClipSpec, path: string): Promise<void> {
  await using output = new FormatContext();
  const container = spec.container ?? CLIP_DEFAULTS.container;
  FFmpegError.throwIfError(output.allocOutputContext2(null, MUXERS[container], path), `muxer ${container}`);
  // Without the date and the version of FFmpeg in the file, the same specification gives the same bytes.
  output.setFlags(AVFMT_FLAG_BITEXACT);
  for (const [name, value] of Object.entries(spec.muxerOptions ?? {})) {
    FFmpegError.throwIfError(output.setOption(name, value), `${container} option ${name}`);
  }
  const tracks = openTracks(spec, output);
  try {
    FFmpegError.throwIfError(output.openOutputSync(), path);
    FFmpegError.throwIfError(output.writeHeaderSync(), `header of ${container}`);
    await interleave(tracks);
    FFmpegError.throwIfError(output.writeTrailerSync(), 'trailer');
    output.closeOutputSync();
  } finally {
    for (const track of tracks) track.close();
  }
}

function openTracks(spec: ClipSpec, output: FormatContext): Track[] {
  const globalHeader = output.oformat?.hasFlags(AVFMT_GLOBALHEADER) === true;
  const flags = globalHeader ? [AV_CODEC_FLAG_GLOBAL_HEADER] : [];
  const tracks: Track[] = [];
  if (spec.videoCodec !== null) tracks.push(openVideoTrack(spec, { output, flags }));
  if (spec.audioCodec !== null) tracks.push(openAudioTrack(spec, { output, flags }));
  return tracks;
}

/** Encodes the tracks side by side: the one that is behind goes next, so that no muxer has to hold much. */
async function interleave(tracks: readonly Track[]): Promise<void> {
  let open = [...tracks];
  for (let frames = 0; open.length > 0; frames += 1) {
    const behind = open.reduce((first, second) => (second.position() < first.position() ? second : first));
    if (!behind.step()) open = open.filter((track) => track !== behind);
    if (frames % FRAMES_PER_TURN === 0) await nextTurn();
  }
}
