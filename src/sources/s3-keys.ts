import { createHash } from 'node:crypto';

/** A key as a listing tells it. */
export interface ListedKey {
  /** At most 1024 bytes, well-formed and without U+0000; where it cannot be the key itself, no other has the same. */
  readonly key: string;
  /** False if it cannot be stored as text, or cannot be read at all. */
  readonly isText: boolean;
  /** Whether it has more than the 1024 bytes that S3 allows: not every store holds its keys to that. */
  readonly isTooLong: boolean;
  /** What to begin the next page after; null if it cannot be sent. */
  readonly position: string | null;
}

/** What a plus stands for in the URL-encoded keys of a store: AWS makes one of a space, others leave it as it is. */
export type Plus = 'SPACE' | 'PLUS';

/** What keys of one page tell about the store's plus: 'NONE' if there is none, 'UNKNOWN' if they leave it open. */
export function judgePlus(encoded: readonly string[]): Plus | 'NONE' | 'UNKNOWN' {
  if (!encoded.some((key) => key.includes('+'))) return 'NONE';
  if (encoded.some((key) => key.includes('%20'))) return 'PLUS';
  return encoded.some((key) => /%2b/i.test(key)) ? 'SPACE' : 'UNKNOWN';
}

const MAX_KEY_BYTES = 1024;
/** What is left of them beside the mark; so many characters always fit. */
const MAX_SHOWN_BYTES = 1009;
const SHOWN_CHARACTERS = 250;

/** Reads a key as it stands in a listing. @param plus null: the listing is not encoded */
export function readKey(raw: string, plus: Plus | null): ListedKey {
  const decoded = plus === null ? raw : decode(plus === 'SPACE' ? raw.replaceAll('+', '%20') : raw);
  const isSendable = decoded?.isWellFormed() === true;
  const position = isSendable ? decoded : null;
  const isText = decoded !== null && isSendable && !decoded.includes('\0');
  const isTooLong = Buffer.byteLength(decoded ?? raw) > MAX_KEY_BYTES;
  if (isText && !isTooLong) return { key: decoded, isText, isTooLong, position };
  const readable = (decoded ?? decodeLossy(raw)).toWellFormed().replaceAll('\0', '\uFFFD');
  const shown =
    Buffer.byteLength(readable) > MAX_SHOWN_BYTES
      ? [...readable].slice(0, SHOWN_CHARACTERS).join('')
      : readable;
  // Several keys may look like this one.
  const mark = createHash('sha256').update(Buffer.from(raw, 'utf16le')).digest('hex').slice(0, 12);
  return { key: `${shown} [${mark}]`, isText, isTooLong, position };
}

/** Null if it is no UTF-8 when it is decoded, or was not encoded correctly. */
function decode(encoded: string): string | null {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return null;
  }
}

/** With U+FFFD for whatever is no UTF-8. */
function decodeLossy(encoded: string): string {
  const bytes = encoded.replace(/%([0-9a-f]{2})|(.)/gisu, (_all, hex: string | undefined, other: string) =>
    hex === undefined ? Buffer.from(other).toString('latin1') : String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(bytes, 'latin1').toString();
}
