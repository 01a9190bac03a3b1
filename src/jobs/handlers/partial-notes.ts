import { setTimeout as sleep } from 'node:timers/promises';
import type { StoredPartial } from '../../db/tables/tasks.ts';
import { rememberPartial } from '../../services/transfer-task.ts';
import type { ClaimedJob } from '../job.ts';
import type { HandlerDeps } from './deps.ts';

/** What is copied in less time, and of fewer bytes, is copied again as fast as it is noted: most files of most imports. */
const NOTED_AFTER_MS = 250;
const NOTED_FROM_BYTES = 8 * 1024 * 1024;
/** How long the end of an attempt waits for its note; a database that is away has others waiting, too. */
const LAST_NOTE_MS = 1_000;

/** Notes what is being copied, for an attempt that comes after this one. */
export interface PartialNotes {
  /**
   * What is copied from now on; null when nobody could go on from it.
   * @param isNoted whether the place has a note already: one that tells of another version must not stay
   */
  begin(partial: StoredPartial | null, isNoted: boolean): void;
  /** So many bytes of it are here. */
  progress(bytes: number): void;
  /** The copy is not complete and its attempt over: notes what has not been noted yet. Never rejects. */
  end(): Promise<void>;
}

/**
 * Makes the notes of one attempt. They are written one after the other: as soon as a copy has become long or large, and else
 * when it breaks off. Without one, a later attempt begins at byte 0: nothing that this one has to fail of.
 */
export function createPartialNotes(
  { services }: Pick<HandlerDeps, 'services'>,
  job: ClaimedJob,
): PartialNotes {
  let last: Promise<void> = Promise.resolve();
  let pending: StoredPartial | null = null;
  let beganAt = 0;
  let hasWritten = false;
  const write = () => {
    if (pending === null) return;
    hasWritten = true;
    const partial = pending;
    pending = null;
    last = last
      .then(() => rememberPartial(services, job, partial))
      .catch((error: unknown) =>
        services.log.warn(
          { err: error, taskId: job.subjectId },
          'what is copied was not noted for a later attempt',
        ),
      );
  };
  return {
    begin(partial, isNoted) {
      pending = partial;
      beganAt = performance.now();
      if (isNoted || hasWritten) write();
    },
    progress(bytes) {
      if (pending === null) return;
      if (bytes >= NOTED_FROM_BYTES || performance.now() - beganAt >= NOTED_AFTER_MS) write();
    },
    async end() {
      write();
      const late = new AbortController();
      const patience = sleep(LAST_NOTE_MS, undefined, { signal: late.signal }).catch(() => {});
      await Promise.race([last, patience]);
      late.abort();
    },
  };
}
