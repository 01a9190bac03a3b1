import type { ClipAudioCodec, ClipVideoCodec } from './clip-spec.ts';

/** One of FFmpeg's encoders, with the settings that make it fast and its output repeatable. */
interface EncoderChoice {
  readonly encoder: string;
  readonly options: Readonly<Record<string, string>>;
  readonly pixelFormat?: string;
}

/** The part of x264's settings that makes a bit rate exact: filler data fills what the pictures leave. */
const EXACT_RATE = 'nal-hrd=cbr:force-cfr=1';

const VIDEO: Readonly<Record<ClipVideoCodec, EncoderChoice>> = {
  h264: { encoder: 'libx264', options: { preset: 'ultrafast' } },
  hevc: {
    encoder: 'libx265',
    options: { preset: 'ultrafast', 'x265-params': 'log-level=none:pools=none:frame-threads=1' },
  },
  vp9: { encoder: 'libvpx-vp9', options: { deadline: 'realtime', 'cpu-used': '8' } },
  vp8: { encoder: 'libvpx', options: { deadline: 'realtime', 'cpu-used': '8' } },
  av1: { encoder: 'libsvtav1', options: { preset: '12' } },
  mpeg4: { encoder: 'mpeg4', options: {} },
  mpeg2video: { encoder: 'mpeg2video', options: {} },
  theora: { encoder: 'libtheora', options: {} },
  wmv2: { encoder: 'wmv2', options: {} },
  mjpeg: { encoder: 'mjpeg', options: { strict: 'unofficial' } },
  prores: { encoder: 'prores_ks', options: {}, pixelFormat: 'yuv422p10le' },
};

const AUDIO: Readonly<Record<ClipAudioCodec, EncoderChoice>> = {
  // FFmpeg's own encoder, by name: libfdk's licence does not go with the rest.
  aac: { encoder: 'aac', options: {} },
  opus: { encoder: 'libopus', options: {} },
  vorbis: { encoder: 'libvorbis', options: {} },
  mp3: { encoder: 'libmp3lame', options: {} },
  mp2: { encoder: 'mp2', options: {} },
  ac3: { encoder: 'ac3', options: {} },
  flac: { encoder: 'flac', options: {} },
  pcm: { encoder: 'pcm_s16le', options: {} },
};

/** The encoder of a video codec; `exactRate` asks it to meet its bit rate to the byte where it can. */
export function videoEncoder(codec: ClipVideoCodec, exactRate: boolean): EncoderChoice {
  const choice = VIDEO[codec];
  if (codec !== 'h264' || !exactRate) return choice;
  return { ...choice, options: { ...choice.options, 'x264-params': EXACT_RATE } };
}

/** The encoder of an audio codec. */
export function audioEncoder(codec: ClipAudioCodec): EncoderChoice {
  return AUDIO[codec];
}
