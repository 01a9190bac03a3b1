import type { FileHandle } from 'node:fs/promises';

/** Writes buffers one behind the other from where the file ends so far. The kernel may take less than all at once. */
export async function writeAll(file: FileHandle, buffers: readonly Buffer[]): Promise<void> {
  let left = buffers.filter(({ length }) => length > 0);
  while (left.length > 0) {
    const { bytesWritten } = await file.writev(left);
    left = dropBytes(left, bytesWritten);
  }
}

function dropBytes(buffers: readonly Buffer[], count: number): Buffer[] {
  let skipped = 0;
  let index = 0;
  for (; index < buffers.length; index++) {
    const length = buffers[index]?.length ?? 0;
    if (skipped + length > count) break;
    skipped += length;
  }
  const [first, ...rest] = buffers.slice(index);
  return first === undefined ? [] : [first.subarray(count - skipped), ...rest];
}
