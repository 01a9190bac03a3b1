import { mkdtemp, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { StorageFullError } from '../../src/storage/adapter.ts';
import { createFileStorage } from '../../src/storage/file.ts';
import { createWorkFolders } from '../../src/storage/work-folders.ts';
import { waitFor } from '../support/wait.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-work-'));
});
afterAll(() => rm(folder, { recursive: true }));

test('no folder is lent by a store that is full', async () => {
  const storage = createFileStorage({ root: join(folder, 'full'), reserveBytes: 1e18 });
  await expect(storage.withWorkFolder(async () => 'called')).rejects.toBeInstanceOf(StorageFullError);
});

test('work is told when the volume runs full under it, and fails of that and nothing else', async () => {
  let full = false;
  const assertRoom = async () => {
    if (full) throw new StorageFullError();
  };
  const { lend } = createWorkFolders({ folder: join(folder, 'a'), space: { assertRoom }, beatMs: 5 });
  const work = lend(
    (_path, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('of its own')));
        full = true;
      }),
  );
  await expect(work).rejects.toBeInstanceOf(StorageFullError);
  full = false;
  const done = lend(async (_path, signal) => {
    full = true;
    await waitFor(() => signal.aborted);
    return 'done all the same';
  });
  expect(await done).toBe('done all the same');
});

test('a folder is marked as in use for as long as it is, so that no other process takes it for a leftover', async () => {
  const options = { folder: join(folder, 'b'), space: { assertRoom: async () => {} } };
  const [one, other] = [createWorkFolders({ ...options, beatMs: 5 }), createWorkFolders(options)];
  await one.lend(async (path) => {
    const long = new Date(Date.now() - 86_400_000);
    await writeFile(join(path, 'file'), 'x');
    await utimes(path, long, long);
    await waitFor(async () => (await stat(path)).mtime.getTime() > Date.now() - 60_000);
    expect(await other.sweep(new Date())).toBe(0);
    await stat(join(path, 'file'));
  });
});

test('whoever needs a folder removes what a dead process left first', async () => {
  const options = { folder: join(folder, 'c'), space: { assertRoom: async () => {} } };
  let left = '';
  await createWorkFolders({ ...options, beatMs: 1e6 }).lend(async (path) => {
    left = path;
    const long = new Date(Date.now() - 3_600_000);
    await utimes(path, long, long);
    await createWorkFolders(options).lend(async () => {
      await expect(stat(left)).rejects.toMatchObject({ code: 'ENOENT' });
    });
  });
});
