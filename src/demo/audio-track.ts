import { AV_CHANNEL_LAYOUT_STEREO, AV_CODEC_FLAG_BITEXACT } from 'node-av/constants';
import { avGetSampleFmtName, Rational } from 'node-av/lib';
import type { ClipSpec } from './clip-spec.ts';
import { CLIP_DEFAULTS } from './clip-spec.ts';
import type { Track, TrackTarget } from './encode-track.ts';
import { createTrack, findEncoder, openEncoder } from './encode-track.ts';
import { audioEncoder } from './encoders.ts';
import { openFrameSource, toneFilter } from './pictures.ts';

/**
 * Adds the sound of a clip to the output.
 * @throws {FFmpegError} when the encoder does not take the specification.
 */
export function openAudioTrack(spec: ClipSpec, { output, flags }: TrackTarget): Track {
  const clip = { ...CLIP_DEFAULTS, ...spec };
  const choice = audioEncoder(clip.audioCodec ?? 'aac');
  const { codec, context } = findEncoder(choice.encoder);
  // FLV has no number for 48 kHz.
  const sampleRate = clip.container === 'flv' ? 44_100 : 48_000;
  const sampleFormat = codec.sampleFormats?.[0];
  if (sampleFormat === undefined) throw new Error(`${choice.encoder} names no sample format`);
  context.sampleRate = sampleRate;
  context.sampleFormat = sampleFormat;
  context.channelLayout = AV_CHANNEL_LAYOUT_STEREO;
  context.timeBase = new Rational(1, sampleRate);
  context.bitRate = 96_000n;
  context.setFlags(AV_CODEC_FLAG_BITEXACT, ...flags);
  openEncoder(context, codec, choice.options);
  const { seconds, seed } = clip;
  const format = avGetSampleFmtName(sampleFormat) ?? 'fltp';
  const tone = toneFilter({ seconds, seed, sampleRate, sampleFormat: format, frameSize: context.frameSize });
  return createTrack({ output, context, source: openFrameSource(tone, 'abuffersink') });
}
