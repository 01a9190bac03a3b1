import type { ChangeKind } from './import-changes.ts';

/** Something that has changed; I: the import's own row. */
export interface LoggedChange {
  readonly id: string;
  readonly kind: ChangeKind | 'I';
  readonly version: string;
}

/** The next changes behind a position of the log. */
export interface LogPart {
  readonly changes: readonly LoggedChange[];
  /** The position behind them. */
  readonly to: number;
  /** Whether there are no more. */
  readonly isEnd: boolean;
  /** Whoever has been told these is past every transaction before this one. */
  readonly xmin: string;
}

/** What has changed last, each task once, in the order of the changes: its positions grow by one with each of them. */
export interface ChangeLog {
  /** The position behind the last change. */
  readonly end: number;
  /** Nothing behind this position has been left out. */
  readonly start: number;
  /**
   * Adds what a read has found.
   * @param from the position of transactions that it read from
   * @param to the one that the next will read from
   */
  add(changes: readonly LoggedChange[], from: string, to: string): void;
  /** Leaves out what has changed since the last read, because it was too much; nothing before is kept. @param to as for `add` */
  skip(to: string): void;
  /** The changes behind a position, and so many at most; the import's own row is not counted. */
  after(position: number, most: number): LogPart;
  /** Forgets what nobody needs any more: the changes up to a position, and the oldest beyond ten thousand. */
  forget(position: number): void;
}

const MAX_CHANGES = 10_000;

interface Entry extends LoggedChange {
  readonly position: number;
  readonly from: string;
}

/** An empty log. @param xmin the position of transactions that the next read begins from */
export function createChangeLog(xmin: string): ChangeLog {
  // A change of what is in it already takes it to the end: the order of the map is that of the positions.
  const entries = new Map<string, Entry>();
  let [start, end, latest] = [0, 0, xmin];
  return {
    get start() {
      return start;
    },
    get end() {
      return end;
    },
    add(changes, from, to) {
      latest = to;
      for (const change of changes) {
        end += 1;
        entries.delete(change.id);
        entries.set(change.id, { ...change, position: end, from });
      }
    },
    skip(to) {
      latest = to;
      end += 1;
      start = end;
      entries.clear();
    },
    after(position, most) {
      const changes: Entry[] = [];
      for (const entry of entries.values()) {
        if (entry.position <= position) continue;
        // The import's own row comes with every event.
        if (changes.length >= most && entry.kind !== 'I')
          return { changes, to: entry.position - 1, isEnd: false, xmin: entry.from };
        changes.push(entry);
      }
      return { changes, to: end, isEnd: true, xmin: latest };
    },
    forget(position) {
      for (const [id, entry] of entries) {
        const isTooMuch = entries.size > MAX_CHANGES;
        if (entry.position > position && !isTooMuch) return;
        if (entry.position > position) start = entry.position;
        entries.delete(id);
      }
    },
  };
}
