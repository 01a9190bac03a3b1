import type { SourceError, SourceErrorCode } from '../sources/errors.ts';
import type { ImportErrorCode } from './errors.ts';

/** Why an import did not come to its source's end. */
export interface ImportFault {
  readonly code: ImportErrorCode;
  readonly message: string;
}

const CODES: Partial<Record<SourceErrorCode, ImportErrorCode>> = {
  SOURCE_NOT_FOUND: 'SOURCE_NOT_FOUND',
  SOURCE_NOT_AUTHORIZED: 'SOURCE_NOT_AUTHORIZED',
  SOURCE_FORBIDDEN_ADDRESS: 'SOURCE_FORBIDDEN_ADDRESS',
};

/** What it means for an import, or for setting up an integration, that a source cannot be listed. */
export function listingFault({ code, message }: SourceError): ImportFault {
  return { code: CODES[code] ?? 'SOURCE_UNAVAILABLE', message };
}
