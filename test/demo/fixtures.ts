import type { DemoEvent, DemoFailedFile, DemoImport, DemoTask } from '../../src/demo/documents.ts';

/** A task as the server would tell it, with the figures that a test wants. */
export function task(fileName: string, over: Partial<DemoTask> = {}): DemoTask {
  return {
    id: `task_${fileName}`,
    fileName,
    externalId: fileName,
    videoId: `vid_${fileName}`,
    status: 'PENDING',
    outcome: null,
    skipReason: null,
    reason: null,
    waitingFor: null,
    error: null,
    progress: { fraction: 0, bytesDone: 0, bytesTotal: null, bytesPerSecond: null },
    systemMetadata: null,
    ...over,
  };
}

/** A file that planning rejected. */
export function failedFile(fileName: string, code: string): DemoFailedFile {
  return {
    id: `file_${fileName}`,
    fileName,
    externalId: fileName,
    error: { code, message: `${code}, in words.` },
  };
}

/** An import that is on its way, or over. */
export function importState(finished = false): DemoImport {
  return {
    id: 'imp_1',
    state: finished ? 'SUCCEEDED' : 'STARTED',
    finished,
    error: null,
  };
}

/** One event, by default a change of nothing. */
export function event(over: Partial<DemoEvent> = {}): DemoEvent {
  return {
    cursor: 'c0',
    snapshot: false,
    import: importState(),
    changed: [],
    rejected: [],
    ...over,
  };
}
