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
}

/** The text of a multivariant playlist (RFC 8216, 4.3.4), the variants in the order given. */
export function multivariantPlaylist(variants: readonly VariantFacts[], sound: SoundFacts | null): string {
  const lines = ['#EXTM3U', '#EXT-X-VERSION:7', '#EXT-X-INDEPENDENT-SEGMENTS'];
  if (sound) {
    const channels = sound.channels > 0 ? `,CHANNELS="${sound.channels}"` : '';
    lines.push(
      `#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound",NAME="Main",DEFAULT=YES,AUTOSELECT=YES${channels},URI="${sound.playlist}"`,
    );
  }
  for (const variant of variants) {
    const { shown, frameRate, range, playlist } = variant;
    const whole = withSound(variant, sound);
    const attributes = [
      `BANDWIDTH=${whole.bandwidth}`,
      `AVERAGE-BANDWIDTH=${whole.averageBandwidth}`,
      `CODECS="${whole.codecs}"`,
      `RESOLUTION=${shown.width}x${shown.height}`,
      ...(frameRate === null ? [] : [`FRAME-RATE=${frameRate.toFixed(3)}`]),
      ...(range === 'SDR' ? [] : [`VIDEO-RANGE=${range}`]),
      ...(sound ? ['AUDIO="sound"'] : []),
    ];
    lines.push(`#EXT-X-STREAM-INF:${attributes.join(',')}`, playlist);
  }
  return `${lines.join('\n')}\n`;
}

/** What playing a variant takes with its sound. */
export function withSound(
  { bandwidth, averageBandwidth, codecs }: Pick<VariantFacts, 'bandwidth' | 'averageBandwidth' | 'codecs'>,
  sound: SoundFacts | null,
): { readonly bandwidth: number; readonly averageBandwidth: number; readonly codecs: string } {
  return {
    bandwidth: Math.max(1, Math.ceil(bandwidth + (sound?.bandwidth ?? 0))),
    averageBandwidth: Math.max(1, Math.ceil(averageBandwidth + (sound?.averageBandwidth ?? 0))),
    codecs: sound ? `${codecs},${sound.codecs}` : codecs,
  };
}
