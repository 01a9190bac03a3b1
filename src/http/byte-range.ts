/** Positions of bytes, both inclusive. */
export interface BytePositions {
  readonly start: number;
  readonly end: number;
}

const RANGE = /^bytes=\s*(\d*)-(\d*)\s*$/i;

/**
 * Reads a Range header (RFC 9110, section 14.2) against a content of `size` bytes.
 * @returns the positions asked for; 'whole' without a header, and for one that may be ignored: another unit, several ranges, one
 * that is no range; 'unsatisfiable' for a range that no byte of the content lies in
 */
export function parseRange(
  header: string | undefined,
  size: number,
): BytePositions | 'whole' | 'unsatisfiable' {
  const [, first = '', last = ''] = RANGE.exec(header ?? '') ?? [];
  if (first === '' && last === '') return 'whole';
  if (first === '') {
    const length = Math.min(Number(last), size);
    return length === 0 ? 'unsatisfiable' : { start: size - length, end: size - 1 };
  }
  const start = Number(first);
  const end = last === '' ? size - 1 : Number(last);
  if (last !== '' && end < start) return 'whole';
  return start >= size ? 'unsatisfiable' : { start, end: Math.min(end, size - 1) };
}
