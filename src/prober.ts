import type { StoredError } from './db/tables/tasks.ts';
import { toStoredError } from './jobs/handlers/task-error.ts';
import { MediaRejectedError } from './media/errors.ts';
import type { MediaPool } from './media/pool.ts';
import { checkRequirements, checkSize } from './media/requirements.ts';
import type { Probe, Prober } from './services/deps.ts';
import { limitTime } from './services/time-limit.ts';
import { SourceError } from './sources/errors.ts';
import type { RemoteFile } from './sources/remote-file.ts';
import type { ProbedFile } from './sources/source.ts';

/** A look keeps a media process waiting for the source: one that needs more time than this is left to the transfer. */
const LOOK_MS = 15_000;

/** What a media process asks for first: the index of most files, and a picture. */
const FIRST_BYTES = 262_144;

type LookOptions = Parameters<Prober['look']>[1];

/**
 * Makes the look that planning takes at a file: one request for its beginning, then as few as its header takes. Only what
 * will not change makes a file unfit; what may pass, and what needs more than its header, is left to the transfer.
 */
export function createProber(media: MediaPool): Prober {
  return {
    judgeSize(size, requirements) {
      const violation = checkSize(size, requirements);
      return violation && { ...violation, retryable: false };
    },
    async look(source: ProbedFile, options: LookOptions) {
      let file: RemoteFile | null = null;
      const limit = limitTime(options.signal, LOOK_MS);
      try {
        file = await source.open({
          knownVersion: options.knownVersion,
          firstBytes: FIRST_BYTES,
          signal: limit.signal,
        });
        return await judge(media, file, { ...options, signal: limit.signal });
      } catch (error) {
        options.signal.throwIfAborted();
        return judgeFault(error, file);
      } finally {
        limit.end();
        file?.close();
      }
    },
  };
}

async function judge(media: MediaPool, file: RemoteFile, options: LookOptions): Promise<Probe> {
  const { version, size } = file;
  if (version !== null && version === options.knownVersion) return { kind: 'UNCHANGED', version, size };
  if (size === null) return { kind: 'UNDECIDED', version, size };
  const tooLarge = checkSize(size, options.requirements);
  if (tooLarge) return unfit({ ...tooLarge, retryable: false });
  const facts = await media.probeRemote({ size, read: file.read }, { signal: options.signal });
  const violation = checkRequirements(facts, options.requirements);
  return violation
    ? unfit({ ...violation, retryable: false })
    : { kind: 'FITS', version, size, metadata: facts };
}

const unfit = (error: StoredError): Probe => ({ kind: 'UNFIT', error });

function judgeFault(error: unknown, file: RemoteFile | null): Probe {
  const final =
    error instanceof MediaRejectedError ||
    (error instanceof SourceError && !error.retryable && error.code !== 'SOURCE_CHANGED');
  if (final) return unfit(toStoredError(error));
  return { kind: 'UNDECIDED', version: file?.version ?? null, size: file?.size ?? null };
}
