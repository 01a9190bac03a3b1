import { NotPlainError } from './not-plain.ts';

/** One box in a buffer that holds it whole. */
export interface Box {
  readonly type: string;
  /** Where it begins, where its content does, and where both end. */
  readonly at: number;
  readonly start: number;
  readonly end: number;
}

/** So many boxes may stand beside each other. */
const MOST_SIBLINGS = 4096;

/**
 * The boxes between two places of a buffer (ISO/IEC 14496-12, 4.2). Four zero bytes, with which QuickTime ends some
 * lists, and what is too short for a box end them.
 * @throws {NotPlainError} for a box that ends after its parent, and for thousands of them.
 */
export function boxesIn(bytes: Buffer, from: number, to: number): readonly Box[] {
  const boxes: Box[] = [];
  for (let at = from; at + 8 <= to; ) {
    const size = bytes.readUInt32BE(at);
    if (size === 0) break;
    if (size < 8 || at + size > to || boxes.length === MOST_SIBLINGS)
      throw new NotPlainError('its boxes do not fit into each other');
    boxes.push({ type: bytes.toString('latin1', at + 4, at + 8), at, start: at + 8, end: at + size });
    at += size;
  }
  return boxes;
}

/** The only box of a type within a parent; undefined for none. @throws {NotPlainError} for two. */
export function findBox(bytes: Buffer, parent: Box, type: string): Box | undefined {
  const [found, second] = boxesIn(bytes, parent.start, parent.end).filter((box) => box.type === type);
  if (second !== undefined) throw new NotPlainError(`it has two boxes ${type} where one is to be`);
  return found;
}

/** The only box at the end of a path of types. @throws {NotPlainError} where there is none. */
export function needBox(bytes: Buffer, parent: Box, ...path: readonly string[]): Box {
  return path.reduce((outer, type) => {
    const found = findBox(bytes, outer, type);
    if (found === undefined) throw new NotPlainError(`it has no box ${type}`);
    return found;
  }, parent);
}

/** @throws {NotPlainError} when a box holds less than so many bytes. */
export function needBytes(box: Box, count: number): void {
  if (box.end - box.start < count) throw new NotPlainError(`its box ${box.type} is too short`);
}

/** An unsigned number of 64 bits. @throws {NotPlainError} from 2^53 on. */
export function readUInt64(bytes: Buffer, at: number): number {
  const value = bytes.readUInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4);
  if (!Number.isSafeInteger(value)) throw new NotPlainError('a number in it is too large');
  return value;
}
