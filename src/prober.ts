import type { StoredError } from './db/tables/tasks.ts';
import { toStoredError } from './jobs/handlers/task-error.ts';
import { MediaRejectedError } from './media/errors.ts';
import type { MediaPool } from './media/pool.ts';
import { checkRequirements, checkSize } from './media/requirements.ts';
import type { Probe, Prober } from './services/deps.ts';
import { limitTime } from './services/time-limit.ts';
import { SourceError } from './sources/errors.ts';
import type { HttpClient } from './sources/http-client.ts';
import { openUrl, type RemoteFile } from './sources/url.ts';

/** A look keeps a media process waiting for the source: one that needs more time than this is left to the transfer. */
const LOOK_MS = 15_000;

interface ProberDeps {
  readonly http: HttpClient;
  readonly media: MediaPool;
}

/**
 * Makes the look that planning takes at a remote file: one range request for its beginning, then as few as its header
 * takes. Only what will not change makes a file unfit; what may pass, and what needs more than its header, is left to
 * the transfer.
 */
export function createProber({ http, media }: ProberDeps): Prober {
  return async (url, options) => {
    let file: RemoteFile | null = null;
    const limit = limitTime(options.signal, LOOK_MS);
    try {
      file = await openUrl(http, new URL(url), limit);
      return await look(media, file, { ...options, signal: limit.signal });
    } catch (error) {
      options.signal.throwIfAborted();
      return judgeFault(error, file);
    } finally {
      limit.end();
      file?.close();
    }
  };
}

async function look(media: MediaPool, file: RemoteFile, options: Parameters<Prober>[1]): Promise<Probe> {
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
