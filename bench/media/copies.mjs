import { readFile, writeFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { withMark } from '../plan/clips.mjs';

/** Copies clips over and over, each copy with other bytes. @returns how many there are */
export async function copyMarked(clips, count, to) {
  const known = new Map();
  for (let n = 0; n < count; n += 1) {
    const path = clips[n % clips.length];
    if (!known.has(path)) known.set(path, await readFile(path));
    const extension = extname(path);
    const name = `clip-${String(n).padStart(4, '0')}${extension}`;
    await writeFile(join(to, name), withMark(known.get(path), extension.slice(1), n));
  }
  return count;
}
