import type { DemoEvent, DemoFailedFile, DemoImport, DemoTask, StartedImport } from './documents.ts';

/** Where an import and each of its videos stand, as far as the events so far tell. */
export interface ImportView {
  readonly import: DemoImport | null;
  readonly tasks: ReadonlyMap<string, DemoTask>;
  readonly rejected: ReadonlyMap<string, DemoFailedFile>;
  /** The last event was part of a snapshot. */
  readonly inSnapshot: boolean;
}

/** Nothing is known yet. */
export const EMPTY_VIEW: ImportView = {
  import: null,
  tasks: new Map(),
  rejected: new Map(),
  inSnapshot: false,
};

/** The view that the answer to startImport gives. */
export function viewOfAnswer(started: StartedImport): ImportView {
  const { tasks, failedFiles, ...rest } = started;
  return { import: rest, tasks: byId(tasks.nodes), rejected: byId(failedFiles.nodes), inSnapshot: false };
}

/**
 * The view after one event of importProgress. A snapshot that begins replaces what earlier events said; every
 * other event replaces the tasks and files that it names.
 */
export function applyEvent(view: ImportView, event: DemoEvent): ImportView {
  const begins = event.snapshot && !view.inSnapshot;
  const before = begins ? EMPTY_VIEW : view;
  return {
    import: event.import,
    tasks: new Map([...before.tasks, ...byId(event.changed)]),
    rejected: new Map([...before.rejected, ...byId(event.rejected)]),
    inSnapshot: event.snapshot,
  };
}

function byId<T extends { readonly id: string }>(items: readonly T[]): Map<string, T> {
  return new Map(items.map((item) => [item.id, item]));
}

/** How one video stands, whether it became a task or was rejected before. */
export interface VideoState {
  /** WAITING: nothing is decided yet; REJECTED: planning refused it; otherwise the task's status. */
  readonly status: string;
  /** 0 to 1. */
  readonly fraction: number;
  readonly bytesPerSecond: number | null;
  readonly bytesTotal: number | null;
  /** The code of the error, or the reason of a skip. */
  readonly code: string | null;
  readonly message: string | null;
  readonly metadata: DemoTask['systemMetadata'];
}

const WAITING: VideoState = {
  status: 'WAITING',
  fraction: 0,
  bytesPerSecond: null,
  bytesTotal: null,
  code: null,
  message: null,
  metadata: null,
};

/** How each video stands, by its external id. */
export function videoStates(
  view: ImportView,
  externalIds: readonly string[],
): ReadonlyMap<string, VideoState> {
  const states = new Map(externalIds.map((id) => [id, WAITING]));
  for (const { externalId, error } of view.rejected.values()) {
    if (externalId !== null) states.set(externalId, { ...WAITING, status: 'REJECTED', ...error });
  }
  for (const task of view.tasks.values()) {
    if (task.externalId !== null) states.set(task.externalId, stateOfTask(task));
  }
  return states;
}

function stateOfTask(task: DemoTask): VideoState {
  const ended = task.status === 'SKIPPED' ? task.skipReason : (task.error?.code ?? null);
  return {
    status: task.status,
    fraction: task.progress.fraction,
    bytesPerSecond: task.status === 'UPLOADING' ? task.progress.bytesPerSecond : null,
    bytesTotal: task.progress.bytesTotal,
    code: ended,
    message: task.reason ?? task.error?.message ?? null,
    metadata: task.systemMetadata,
  };
}

/** Whether a video with this status moves no more. */
export function hasEnded(status: string): boolean {
  return ['READY', 'SKIPPED', 'FAILED', 'CANCELED', 'REJECTED'].includes(status);
}
