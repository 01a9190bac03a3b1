import type { Packet } from 'node-av/lib';

/** One track of the source on its way into the MP4. */
export interface SourceTrack {
  /** Takes the next packet, its times moved to the presentation's clock, in the stream's unit. */
  take(packet: Packet): void;
  /** Hands out what is held back; nothing comes any more. */
  end(): void;
  free(): void;
}
