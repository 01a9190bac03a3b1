/** Percent-encodes all but letters, digits and `-._~`, byte by byte, and so lone surrogates too. */
export function encodeBytes(text: string, keep = ''): string {
  let encoded = '';
  for (const byte of Buffer.from(text)) {
    const character = String.fromCharCode(byte);
    const isPlain = /[A-Za-z0-9\-._~]/.test(character) || keep.includes(character);
    encoded += isPlain ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

/** Encodes a key as AWS does in listings: a space becomes a plus. */
export const encodeKeyAsAws = (key: string): string => encodeBytes(key, '/*').replaceAll('%20', '+');

/** Orders texts by their bytes in UTF-8, as S3 does with keys; UTF-16, as JavaScript compares, orders otherwise. */
export function compareBytes(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index++) {
    const left = a.charCodeAt(index);
    const right = b.charCodeAt(index);
    if (left !== right) return rank(left) - rank(right);
  }
  return a.length - b.length;
}

/** Halves of a surrogate pair stand for characters behind all others. */
const rank = (unit: number): number => (unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit);

/** The index of the first of `count` items that `isAtOrBehind` holds for, or `count`. */
export function lowerBound(count: number, isAtOrBehind: (index: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isAtOrBehind(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** An ETag in quotes; weak ones and those in quotes already stay as they are. */
export const quoted = (etag: string): string => (etag === '' || etag.endsWith('"') ? etag : `"${etag}"`);
