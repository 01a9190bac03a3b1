/** One segment of a playlist and of its file. Seconds from the begin of the track; bytes. */
export interface Segment {
  readonly duration: number;
  readonly offset: number;
  readonly bytes: number;
}

export interface MediaPlaylistOptions {
  /** The name of the file that all segments are in, beside the playlist. */
  readonly file: string;
  /** Bytes at its begin that set a decoder up. */
  readonly initBytes: number;
  readonly segments: readonly Segment[];
}

/** The whole seconds that no segment is longer than, once rounded (RFC 8216, 4.3.3.1). */
export const targetDuration = (segments: readonly Segment[]): number =>
  segments.reduce((longest, { duration }) => Math.max(longest, Math.round(duration)), 1);

/** The text of a media playlist whose segments are ranges of one file (RFC 8216, 4.3). */
export function makeMediaPlaylist({ file, initBytes, segments }: MediaPlaylistOptions): string {
  const lines = [
    '#EXTM3U',
    '#EXT-X-VERSION:7',
    `#EXT-X-TARGETDURATION:${targetDuration(segments)}`,
    '#EXT-X-MEDIA-SEQUENCE:0',
    '#EXT-X-PLAYLIST-TYPE:VOD',
    '#EXT-X-INDEPENDENT-SEGMENTS',
    `#EXT-X-MAP:URI="${file}",BYTERANGE="${initBytes}@0"`,
  ];
  for (const { duration, offset, bytes } of segments)
    lines.push(`#EXTINF:${duration.toFixed(6)},`, `#EXT-X-BYTERANGE:${bytes}@${offset}`, file);
  return `${[...lines, '#EXT-X-ENDLIST'].join('\n')}\n`;
}
