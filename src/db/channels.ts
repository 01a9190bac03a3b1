import type { Logger } from 'pino';

type PayloadCallback = (payload: string) => void;

/** Who listens to which channel in this process. */
export interface Channels {
  /** Adds a callback and gives what removes it again. */
  add(channel: string, callback: PayloadCallback): () => void;
  /** The channels with at least one callback. */
  names(): readonly string[];
  /** Calls everyone who listens to the channel. A callback that throws is logged and harms nobody. */
  dispatch(channel: string, payload: string): void;
}

/** What happens when a channel gets its first callback and loses its last, and where errors go. */
export interface ChannelsOptions {
  readonly log: Logger;
  readonly onFirst: (channel: string) => void;
  readonly onLast: (channel: string) => void;
}

/** Makes an empty register of callbacks by channel. */
export function createChannels({ log, onFirst, onLast }: ChannelsOptions): Channels {
  const channels = new Map<string, Set<PayloadCallback>>();
  return {
    add(channel, callback) {
      const callbacks = channels.get(channel) ?? new Set();
      // The same function given twice is two callbacks: each is ended by what its own call returned.
      const own: PayloadCallback = (payload) => callback(payload);
      callbacks.add(own);
      if (!channels.has(channel)) {
        channels.set(channel, callbacks);
        onFirst(channel);
      }
      return () => {
        if (!callbacks.delete(own) || callbacks.size > 0) return;
        channels.delete(channel);
        onLast(channel);
      };
    },
    names: () => [...channels.keys()],
    dispatch(channel, payload) {
      for (const callback of [...(channels.get(channel) ?? [])]) callSafely(() => callback(payload), log);
    },
  };
}

/** Calls back; an error is logged, not thrown. */
export function callSafely(callback: () => void, log: Logger): void {
  try {
    callback();
  } catch (error) {
    log.error({ err: error }, 'a callback for notifications threw');
  }
}
