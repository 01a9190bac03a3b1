import {
  AV_CODEC_ID_AAC,
  AV_CODEC_ID_AC3,
  AV_CODEC_ID_AV1,
  AV_CODEC_ID_EAC3,
  AV_CODEC_ID_FLAC,
  AV_CODEC_ID_H264,
  AV_CODEC_ID_HEVC,
  AV_CODEC_ID_OPUS,
  AV_CODEC_ID_VP9,
  AV_PIX_FMT_NONE,
  AV_PROFILE_AAC_HE,
  AV_PROFILE_AAC_HE_V2,
  AV_PROFILE_AAC_LOW,
  AV_PROFILE_UNKNOWN,
  type AVCodecID,
  type AVPixelFormat,
  type AVProfile,
} from 'node-av/constants';
import { avGetPixFmtName, type CodecParameters } from 'node-av/lib';

const EIGHT_BITS: ReadonlySet<string> = new Set(['yuv420p', 'yuvj420p']);
const TEN_BITS_TOO: ReadonlySet<string> = new Set([...EIGHT_BITS, 'yuv420p10le']);

/** The pixel formats that players take of each codec; 4:2:0 stands for the profiles that they know. */
const VIDEO: ReadonlyMap<AVCodecID, ReadonlySet<string>> = new Map([
  [AV_CODEC_ID_H264, EIGHT_BITS],
  [AV_CODEC_ID_HEVC, TEN_BITS_TOO],
  [AV_CODEC_ID_AV1, TEN_BITS_TOO],
  [AV_CODEC_ID_VP9, TEN_BITS_TOO],
]);

/** Not MP3: browsers refuse it in fragmented MP4, and with it the whole stream. */
const AUDIO: ReadonlySet<AVCodecID> = new Set([
  AV_CODEC_ID_AAC,
  AV_CODEC_ID_OPUS,
  AV_CODEC_ID_AC3,
  AV_CODEC_ID_EAC3,
  AV_CODEC_ID_FLAC,
]);

/** Apple's players and televisions take these, most browsers do not. */
const SURROUND: ReadonlySet<AVCodecID> = new Set([AV_CODEC_ID_AC3, AV_CODEC_ID_EAC3]);

const AAC_PROFILES: ReadonlySet<AVProfile> = new Set([
  AV_PROFILE_AAC_LOW,
  AV_PROFILE_AAC_HE,
  AV_PROFILE_AAC_HE_V2,
  AV_PROFILE_UNKNOWN,
]);

/** Whether players take a track of pictures as it is. */
export function isPlayableVideo({ codecId, format }: CodecParameters): boolean {
  const formats = VIDEO.get(codecId);
  // A stream of pictures has a format of pixels; the type also allows for those of sound.
  const pixelFormat = format as AVPixelFormat;
  if (!formats || pixelFormat === AV_PIX_FMT_NONE) return false;
  return formats.has(avGetPixFmtName(pixelFormat) ?? '');
}

/** Whether players take a track of sound as it is, in fragmented MP4. */
export function isPlayableAudio({ codecId, profile, channels, sampleRate }: CodecParameters): boolean {
  if (!AUDIO.has(codecId) || channels < 1 || sampleRate < 1) return false;
  return codecId !== AV_CODEC_ID_AAC || AAC_PROFILES.has(profile);
}

/** Whether so many players refuse a track of sound that another one has to stand beside it. */
export function needsStandIn({ codecId }: CodecParameters): boolean {
  return SURROUND.has(codecId);
}
