/** Numbers of 32 bits, big-endian; negative ones as their complement. */
export function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(values.length * 4);
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value >>> 0, index * 4);
  return bytes;
}

/** Numbers of 16 bits, big-endian. */
export function halves(...values: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(values.length * 2);
  for (const [index, value] of values.entries()) bytes.writeUInt16BE(value & 0xffff, index * 2);
  return bytes;
}

/** Letters of one byte each. */
export const letters = (text: string): Buffer => Buffer.from(text, 'latin1');

/** A box of ISO/IEC 14496-12, 4.2, of under 4 GiB. */
export function box(type: string, ...content: readonly Uint8Array[]): Buffer {
  const size = content.reduce((sum, part) => sum + part.length, 8);
  return Buffer.concat([words(size), letters(type), ...content], size);
}

/** What version and flags of a full box are. */
export interface FullBoxHead {
  readonly version?: number;
  readonly flags?: number;
}

/** A box with a version and flags. */
export function fullBox(
  type: string,
  { version = 0, flags = 0 }: FullBoxHead,
  ...content: readonly Uint8Array[]
): Buffer {
  return box(type, words(version * 2 ** 24 + flags), ...content);
}
