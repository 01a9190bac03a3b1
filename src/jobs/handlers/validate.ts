import type { StoredSystemMetadata } from '../../db/tables/videos.ts';
import { checkRequirements } from '../../media/requirements.ts';
import type { Copied, Transfer } from '../../services/transfer-task.ts';
import type { HandlerDeps } from './deps.ts';
import { RuleError } from './task-error.ts';

interface ValidateOptions {
  readonly transfer: Transfer;
  readonly copied: Copied;
  readonly signal: AbortSignal;
}

/**
 * Reads the stored file and holds it to the index's rules.
 * @throws {MediaRejectedError} when it is no video, or a broken one
 * @throws {MediaProcessError} when the process that read it died of it
 * @throws {RuleError} when it misses a rule
 */
export async function validate(
  deps: HandlerDeps,
  { transfer, copied, signal }: ValidateOptions,
): Promise<StoredSystemMetadata> {
  const facts = await deps.storage.withLocalFile(
    copied.storageKey,
    (path) => deps.media.probeFile(path, { signal }),
    { signal },
  );
  const violation = checkRequirements(facts, transfer.requirements);
  if (violation) throw new RuleError(violation);
  return facts;
}
