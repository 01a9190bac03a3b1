/** What turns a sound MP4, its index at the end as FFmpeg writes it by default, into one that lies. */

const CONTAINERS = new Set(['moov', 'trak', 'mdia', 'minf', 'stbl', 'edts']);

interface FoundBox {
  readonly at: number;
  readonly size: number;
  /** The boxes around it, outermost first. */
  readonly parents: readonly number[];
}

/** A box: four bytes of size, four letters, content. */
export function box(type: string, ...content: readonly Buffer[]): Buffer {
  const body = Buffer.concat(content);
  const header = Buffer.alloc(8);
  header.writeUInt32BE(body.length + 8);
  header.write(type, 4, 'latin1');
  return Buffer.concat([header, body]);
}

/** Unsigned 32-bit numbers, big-endian. */
export function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value, index * 4);
  return bytes;
}

/** The first box of a type. */
export function findBox(file: Buffer, type: string): FoundBox {
  const found = search(file, { from: 0, to: file.length, type, parents: [] });
  if (!found) throw new Error(`the file has no ${type}`);
  return found;
}

interface Search {
  readonly from: number;
  readonly to: number;
  readonly type: string;
  readonly parents: readonly number[];
}

function search(file: Buffer, { from, to, type, parents }: Search): FoundBox | undefined {
  for (let at = from; at + 8 <= to; ) {
    const size = file.readUInt32BE(at);
    const name = file.toString('latin1', at + 4, at + 8);
    if (name === type) return { at, size, parents };
    if (CONTAINERS.has(name)) {
      const inner = search(file, { from: at + 8, to: at + size, type, parents: [...parents, at] });
      if (inner) return inner;
    }
    if (size < 8) return undefined;
    at += size;
  }
  return undefined;
}

/** The file with another box in the place of the first of a type; the sizes around it are put right. The index must come last in the file. */
export function replaceBox(file: Buffer, type: string, replacement: Buffer): Buffer {
  const found = findBox(file, type);
  const result = Buffer.concat([
    file.subarray(0, found.at),
    replacement,
    file.subarray(found.at + found.size),
  ]);
  for (const parent of found.parents) {
    result.writeUInt32BE(file.readUInt32BE(parent) + replacement.length - found.size, parent);
  }
  return result;
}

/** The file with one more box at the end of the index. */
export function appendToIndex(file: Buffer, extra: Buffer): Buffer {
  const { at, size } = findBox(file, 'moov');
  return replaceBox(file, 'moov', box('moov', file.subarray(at + 8, at + size), extra));
}

/** The file with bytes overwritten at an offset within the first box of a type. */
export function patchBox(file: Buffer, type: string, patch: { offset: number; bytes: Buffer }): Buffer {
  const result = Buffer.from(file);
  patch.bytes.copy(result, findBox(file, type).at + patch.offset);
  return result;
}
