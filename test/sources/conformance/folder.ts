import { mkdir, mkdtemp, readdir, readlink, realpath, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createFolderSource } from '../../../src/sources/folder.ts';
import { oddKeys } from '../../support/s3/odd-keys.ts';
import { isPath, type Place, type PlaceKind } from './place.ts';

export const folders: PlaceKind = {
  name: 'a folder',
  start,
  canBreak: true,
  judgesFirst: true,
  lists: true,
  pages: true,
  tellsEmpty: true,
  keys: oddKeys.filter(isPath),
};

async function start(): Promise<Place> {
  const root = await realpath(await mkdtemp(join(tmpdir(), 'sluice-place-')));
  const path = join(root, 'films');
  await mkdir(path);
  const source = () => createFolderSource({ path, allowed: [root] });
  let changes = 0;
  return {
    async put(key, bytes) {
      await mkdir(dirname(join(path, key)), { recursive: true });
      // Over what is there, so that whoever reads it right now gets some of both.
      await writeFile(join(path, key), bytes);
      // The clock of a file system is coarse: two changes may be of one time.
      await utimes(join(path, key), new Date(), new Date(Date.UTC(2026, 0, 1) + ++changes * 1000));
    },
    file: (key) => source().file(key),
    // A body is always of the file as it is: there is nothing to cut.
    cutAfter() {},
    isIdle: async () => !(await openFiles()).some((file) => file.startsWith(path)),
    listing: { source, missing: () => createFolderSource({ path: join(root, 'gone'), allowed: [root] }) },
    close: () => rm(root, { recursive: true }),
  };
}

/** The paths of what this process has open; none where the system does not tell. */
async function openFiles(): Promise<string[]> {
  const numbers = await readdir('/proc/self/fd').catch(() => []);
  return Promise.all(numbers.map((number) => readlink(`/proc/self/fd/${number}`).catch(() => '')));
}
