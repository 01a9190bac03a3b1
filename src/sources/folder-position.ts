import type { RawPath } from './folder-path.ts';

/** A path as a text that can be stored anywhere, with all of its bytes: `a%FF/b`. */
export function writePosition(path: RawPath): string {
  return path.replace(
    /[^ -~]|%/g,
    (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}

/** The path that `writePosition` has written. */
export function readPosition(position: string): RawPath {
  return position.replace(/%([0-9A-F]{2})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
}
