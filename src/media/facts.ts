/** What is known of a video file once it was read. Every figure has been checked for sense. */
export interface MediaFacts {
  /** Bytes of the whole file. */
  readonly size: number;
  /** Seconds: end of the last video frame minus its first timestamp. */
  readonly duration: number;
  /** Pixels as shown: rotation and pixel shape applied. */
  readonly width: number;
  readonly height: number;
  /** Short common name: mp4, mov, mkv, webm, avi, flv, wmv, ogv, ts, mpeg, mxf. */
  readonly container: string;
  readonly mimeType: string;
  /** FFmpeg's name of the codec: h264, hevc, av1 and so on. */
  readonly videoCodec: string;
  readonly audioCodec: string | null;
  /** Frames a second, on average. */
  readonly frameRate: number | null;
  /** Bits a second of the whole file. */
  readonly bitrate: number | null;
  /** Degrees clockwise that were applied for `width` and `height`: 0, 90, 180 or 270. */
  readonly rotation: number;
  /** PQ or HLG transfer, or Dolby Vision. */
  readonly hdr: boolean;
}
