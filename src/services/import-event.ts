import type { LogPart } from './change-log.ts';
import type { Cursors } from './cursors.ts';
import type { FoundChange } from './import-changes.ts';

/** One event of an import's subscription: which tasks and files it is about; their latest state is read when it is sent. */
export interface ImportEvent {
  readonly importId: string;
  readonly cursor: string;
  readonly snapshot: boolean;
  readonly changedIds: readonly string[];
  readonly rejectedIds: readonly string[];
  /** Tasks that were deleted. */
  readonly deletedIds: readonly string[];
  /** Whether this very object goes to all who stand at the same place. */
  readonly shared: boolean;
}

export const idsOf = (
  changes: readonly { readonly id: string; readonly kind: string }[],
  kind: FoundChange['kind'],
) => changes.filter((change) => change.kind === kind).map(({ id }) => id);

/** The event for a part of the log. @param options.tasks false: without tasks and files */
export function toEvent(options: {
  readonly importId: string;
  readonly cursors: Cursors;
  readonly part: Pick<LogPart, 'xmin' | 'changes'>;
  readonly tasks: boolean;
  readonly shared: boolean;
}): ImportEvent {
  const { importId, cursors, part, tasks, shared } = options;
  return {
    importId,
    cursor: cursors.encode(importId, { xmin: part.xmin, ordinal: null }),
    snapshot: false,
    changedIds: tasks ? idsOf(part.changes, 'T') : [],
    rejectedIds: tasks ? idsOf(part.changes, 'F') : [],
    deletedIds: tasks ? idsOf(part.changes, 'D') : [],
    shared,
  };
}
