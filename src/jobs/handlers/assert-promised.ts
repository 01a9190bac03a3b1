import type { TaskRow } from '../../services/end-task.ts';
import { RuleError } from './task-error.ts';

/**
 * Holds the bytes of a task to the SHA-256 that was given for them, if one was.
 * @throws {RuleError} CHECKSUM_MISMATCH
 */
export function assertPromised({ expectedSha256 }: Pick<TaskRow, 'expectedSha256'>, sha256: string): void {
  if (expectedSha256 === null || expectedSha256 === sha256) return;
  throw new RuleError({
    code: 'CHECKSUM_MISMATCH',
    message:
      'The SHA-256 of the file is not the one that was given. Check the source, or leave the checksum out.',
    measured: sha256,
    required: expectedSha256,
  });
}
