import { z } from 'zod';
import type { S3Credentials } from '../sources/s3.ts';
import type { SecretBox, SecretOwner } from './secret-box.ts';

interface RowIds {
  readonly id: string;
  readonly teamId: string;
}

const stored = z.object({
  accessKeyId: z.string(),
  secretAccessKey: z.string(),
  sessionToken: z.string().exactOptional(),
});

/** What the credentials of an integration are bound to: its row. */
export const ownerOfCredentials = ({ id, teamId }: RowIds): SecretOwner => ({
  purpose: 'integration-credentials',
  teamId,
  rowId: id,
});

/** Encrypts the credentials of an integration, for its row only. */
export function sealCredentials(secrets: SecretBox, row: RowIds, credentials: S3Credentials): string {
  return secrets.seal(JSON.stringify(credentials), ownerOfCredentials(row));
}

/**
 * Decrypts the credentials of an integration.
 * @throws {SecretBoxError} when they are another row's, were changed, or their key is not known
 */
export function openCredentials(secrets: SecretBox, row: RowIds, sealed: string): S3Credentials {
  return stored.parse(JSON.parse(secrets.open(sealed, ownerOfCredentials(row))));
}
