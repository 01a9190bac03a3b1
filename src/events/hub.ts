import { CHANGES_CHANNEL, type Change, decodeChange } from './changes.ts';

interface Listener {
  listen(channel: string, callback: (payload: string) => void): () => void;
  onReconnect(callback: () => void): () => void;
}

/** Where this process hears of changes. */
export interface Hub {
  /**
   * Calls back on each change of an import, and whenever changes may have been missed.
   * @returns ends the calls
   */
  onImport(importId: string, callback: () => void): () => void;
  /** The same for the tasks of a team that are of no import. */
  onLooseTasks(teamId: string, callback: () => void): () => void;
  /** The same for all tasks of a team. */
  onTeam(teamId: string, callback: () => void): () => void;
  stop(): void;
}

/** Notifications get lost when a process dies between its commit and its announcement: whoever watches looks again after this long. */
const FLOOR_MS = 2_000;

const looseTasks = (teamId: string) => `team ${teamId}`;
const allTasks = (teamId: string) => `all of ${teamId}`;

/** Shares one LISTEN connection among all who watch: topics with callbacks, nothing buffered, nothing kept. */
export function createHub(listener: Listener): Hub {
  const topics = new Map<string, Set<() => void>>();
  const wakeAll = () => {
    for (const callbacks of topics.values()) for (const callback of callbacks) callback();
  };
  const wake = (change: Change | null) => {
    if (change === null) return;
    const { teamId, importId } = change;
    for (const topic of [importId ?? looseTasks(teamId), allTasks(teamId)])
      for (const callback of topics.get(topic) ?? []) callback();
  };
  const subscribe = (topic: string, callback: () => void) => {
    const callbacks = topics.get(topic) ?? new Set();
    topics.set(topic, callbacks.add(callback));
    return () => {
      callbacks.delete(callback);
      if (callbacks.size === 0) topics.delete(topic);
    };
  };
  const ends = [
    listener.listen(CHANGES_CHANNEL, (payload) => wake(decodeChange(payload))),
    listener.onReconnect(wakeAll),
  ];
  const floor = setInterval(wakeAll, FLOOR_MS);
  floor.unref();
  return {
    onImport: subscribe,
    onLooseTasks: (teamId, callback) => subscribe(looseTasks(teamId), callback),
    onTeam: (teamId, callback) => subscribe(allTasks(teamId), callback),
    stop() {
      clearInterval(floor);
      for (const end of ends) end();
    },
  };
}
