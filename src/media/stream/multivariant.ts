import type { Size } from '../picture.ts';
import type { VideoRange } from './source-facts.ts';

/** A media playlist of pictures, beside the multivariant one. */
export interface VariantFacts {
  readonly playlist: string;
  /** As shown. */
  readonly shown: Size;
  /** Peak and average bits a second, without sound. */
  readonly bandwidth: number;
  readonly averageBandwidth: number;
  /** As in RFC 6381. */
  readonly codecs: string;
  /** Frames a second; null when it is not known. */
  readonly frameRate: number | null;
  readonly range: VideoRange;
}

/** A media playlist of sound, beside the multivariant one. */
export interface SoundFacts {
  readonly playlist: string;
  readonly bandwidth: number;
  readonly averageBandwidth: number;
  readonly codecs: string;
  readonly channels: number;
  /** Three letters of ISO 639-2. */
  readonly language: string;
}

/**
 * The text of a multivariant playlist (RFC 8216, 4.3.4), the variants in the order given, once for each sound.
 * @param sounds the same sound in one codec or several; none for a video without sound.
 */
export function multivariantPlaylist(
  variants: readonly VariantFacts[],
  sounds: readonly SoundFacts[],
): string {
  const lines = ['#EXTM3U', '#EXT-X-VERSION:7', '#EXT-X-INDEPENDENT-SEGMENTS'];
  for (const sound of sounds) lines.push(soundLine(sound));
  const groups = sounds.length > 0 ? sounds : [undefined];
  for (const sound of groups) {
    for (const variant of variants) lines.push(variantLine(variant, sound), variant.playlist);
  }
  return `${lines.join('\n')}\n`;
}

function soundLine({ playlist, channels, language }: SoundFacts): string {
  const attributes = [
    'TYPE=AUDIO',
    `GROUP-ID="${groupOf(playlist)}"`,
    'NAME="Main"',
    'DEFAULT=YES',
    'AUTOSELECT=YES',
    // Three letters that mean: nobody said.
    ...(/^[a-z]{3}$/.test(language) && language !== 'und' ? [`LANGUAGE="${language}"`] : []),
    ...(channels > 0 ? [`CHANNELS="${channels}"`] : []),
    `URI="${playlist}"`,
  ];
  return `#EXT-X-MEDIA:${attributes.join(',')}`;
}

function variantLine(variant: VariantFacts, sound: SoundFacts | undefined): string {
  const { shown, frameRate, range } = variant;
  const whole = withSound(variant, sound);
  const attributes = [
    `BANDWIDTH=${whole.bandwidth}`,
    `AVERAGE-BANDWIDTH=${whole.averageBandwidth}`,
    `CODECS="${whole.codecs}"`,
    `RESOLUTION=${shown.width}x${shown.height}`,
    ...(frameRate === null ? [] : [`FRAME-RATE=${frameRate.toFixed(3)}`]),
    ...(range === 'SDR' ? [] : [`VIDEO-RANGE=${range}`]),
    ...(sound ? [`AUDIO="${groupOf(sound.playlist)}"`] : []),
  ];
  return `#EXT-X-STREAM-INF:${attributes.join(',')}`;
}

function groupOf(playlist: string): string {
  return playlist.replace('.m3u8', '');
}

/** What playing a variant takes with its sound. */
export function withSound(
  { bandwidth, averageBandwidth, codecs }: Pick<VariantFacts, 'bandwidth' | 'averageBandwidth' | 'codecs'>,
  sound: SoundFacts | undefined,
): { readonly bandwidth: number; readonly averageBandwidth: number; readonly codecs: string } {
  return {
    bandwidth: Math.max(1, Math.ceil(bandwidth + (sound?.bandwidth ?? 0))),
    averageBandwidth: Math.max(1, Math.ceil(averageBandwidth + (sound?.averageBandwidth ?? 0))),
    codecs: sound ? `${codecs},${sound.codecs}` : codecs,
  };
}
