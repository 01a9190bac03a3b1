/** Tells other processes that something changed; a hint, the tables are the truth. */
interface Notifier {
  notify(channel: string, payload: string): void;
}

/** The one channel on which changes are told: `<team id> <import id or ->`. */
export const CHANGES_CHANNEL = 'sluice_changes';

/** What changed: an import (or one of its tasks or files), or a task of a team outside any import. */
export interface Change {
  readonly teamId: string;
  readonly importId: string | null;
}

/** Announces what committed transactions changed. */
export interface Changes {
  /** Call after the commit; returns at once. Equal changes told in quick succession become one notification. */
  announce(change: Change): void;
}

function encodeChange({ teamId, importId }: Change): string {
  return `${teamId} ${importId ?? '-'}`;
}

/** The change behind a payload; null for what is none. */
export function decodeChange(payload: string): Change | null {
  const [teamId, importId] = payload.split(' ');
  if (!teamId || !importId) return null;
  return { teamId, importId: importId === '-' ? null : importId };
}

/** Announces over LISTEN/NOTIFY. */
export function createChanges(notifier: Notifier): Changes {
  return { announce: (change) => notifier.notify(CHANGES_CHANNEL, encodeChange(change)) };
}
