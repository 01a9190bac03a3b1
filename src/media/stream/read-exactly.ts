import type { FileHandle } from 'node:fs/promises';
import { broken } from '../errors.ts';

/**
 * Fills the buffer with what is at a place of a file.
 * @throws {MediaRejectedError} VIDEO_FILE_BROKEN when the file ends before that.
 */
export async function readExactly(handle: FileHandle, buffer: Buffer, position: number): Promise<void> {
  for (let got = 0; got < buffer.length; ) {
    const { bytesRead } = await handle.read(buffer, got, buffer.length - got, position + got);
    if (bytesRead === 0) throw broken('it ends before its media does');
    got += bytesRead;
  }
}
