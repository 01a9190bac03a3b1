import { readdirSync } from 'node:fs';

/** All paths below a folder, relative to it; reads again when one of them goes while they are read. */
export function pathsIn(folder: string): readonly string[] {
  for (;;) {
    try {
      return readdirSync(folder, { recursive: true, encoding: 'utf8' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error; // as Node's functions for files throw
    }
  }
}
