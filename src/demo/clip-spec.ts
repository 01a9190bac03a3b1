/** The containers that clips are made in; each name is also the clip's file extension. */
export type ClipContainer =
  | 'mp4'
  | 'm4v'
  | 'mov'
  | '3gp'
  | 'mkv'
  | 'webm'
  | 'avi'
  | 'flv'
  | 'ts'
  | 'mpg'
  | 'ogv'
  | 'wmv'
  | 'mxf';

/** The video codecs that clips are made with. */
export type ClipVideoCodec =
  | 'h264'
  | 'hevc'
  | 'vp9'
  | 'vp8'
  | 'av1'
  | 'mpeg4'
  | 'mpeg2video'
  | 'theora'
  | 'wmv2'
  | 'mjpeg'
  | 'prores';

/** The audio codecs that clips are made with. */
export type ClipAudioCodec = 'aac' | 'opus' | 'vorbis' | 'mp3' | 'mp2' | 'ac3' | 'flac' | 'pcm';

/** One clip to be made. What is left out has the default of `CLIP_DEFAULTS`. */
export interface ClipSpec {
  readonly container?: ClipContainer;
  /** null: a file with sound alone. */
  readonly videoCodec?: ClipVideoCodec | null;
  /** null: a file without sound. */
  readonly audioCodec?: ClipAudioCodec | null;
  /** Pixels as they are stored, before rotation and pixel shape. */
  readonly width?: number;
  readonly height?: number;
  readonly seconds?: number;
  /** Frames a second; 29.97 and its like are taken as n × 1000/1001. */
  readonly frameRate?: number;
  /** Degrees clockwise by which a player turns the picture; written as a display matrix. */
  readonly rotation?: 0 | 90 | 180 | 270;
  /** Bits a second of the pictures. H.264 is padded to it exactly, so that a size can be asked for. */
  readonly bitrate?: number;
  /** Width to height of one pixel, for instance [4, 3]. */
  readonly pixelAspect?: readonly [number, number];
  /** FFmpeg's name of the pixel format. */
  readonly pixelFormat?: string;
  /** Says that the pictures are HDR (BT.2020, PQ). */
  readonly hdr?: boolean;
  /** Interlaced coding, top field first; for mpeg2video and h264. */
  readonly interlaced?: boolean;
  /** So many pictures in a row may be decoded after one that is shown later; 0 for H.264 unless given. */
  readonly reordered?: number;
  /** Options of FFmpeg's muxer, for instance { movflags: '+faststart' }. */
  readonly muxerOptions?: Readonly<Record<string, string>>;
  /** Another seed gives other pictures and another tone; the same specification gives the same bytes. */
  readonly seed?: number;
}

/** What a specification means where it says nothing: five seconds of H.264 and AAC in an MP4 of 640x360. */
export const CLIP_DEFAULTS = {
  container: 'mp4',
  videoCodec: 'h264',
  audioCodec: 'aac',
  width: 640,
  height: 360,
  seconds: 5,
  frameRate: 25,
  rotation: 0,
  pixelFormat: 'yuv420p',
  seed: 1,
} as const satisfies ClipSpec;

/** The name that a clip has while it is being written. */
export function partOf(path: string): string {
  return `${path}.part`;
}
