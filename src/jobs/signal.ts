const CHANNEL = 'sluice_jobs';

/** The part of the LISTEN/NOTIFY connection that wake-ups use. */
export interface JobNotifications {
  listen(channel: string, callback: (payload: string) => void): () => void;
  notify(channel: string, payload: string): void;
  onReconnect(callback: () => void): () => void;
}

/** Tells workers, in this process and in others, that there is something to claim. */
export interface JobSignal {
  /** Call it after the commit that enqueued or released jobs of `kind`. A hint: workers also poll. */
  wake(kind: string): void;
  /** Calls back with the kind that has work, or with undefined when it may be any; gives what ends that. */
  onWake(callback: (kind: string | undefined) => void): () => void;
}

/**
 * Wake-ups over a LISTEN/NOTIFY connection: callbacks of this process are called directly, those of other processes
 * by a notification. After a reconnect all are called, for notifications sent meanwhile are gone.
 */
export function createJobSignal(notifications: JobNotifications): JobSignal {
  const callbacks = new Set<(kind: string | undefined) => void>();
  return {
    wake(kind) {
      for (const callback of callbacks) callback(kind);
      notifications.notify(CHANNEL, kind);
    },
    onWake(callback) {
      // A function of its own for each call, so that a callback registered twice is also ended twice.
      const call = (kind: string | undefined) => callback(kind);
      callbacks.add(call);
      const unlisten = notifications.listen(CHANNEL, call);
      const offReconnect = notifications.onReconnect(() => call(undefined));
      return () => {
        callbacks.delete(call);
        unlisten();
        offReconnect();
      };
    },
  };
}
