import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { StorageFullError } from '../../src/storage/adapter.ts';
import { createFileStorage } from '../../src/storage/file.ts';

let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sluice-file-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

test('folders and files are for our own user only', async () => {
  const storage = createFileStorage({ root: join(root, 'new') });
  const writer = await storage.create('teams/a/original');
  await writer.write(Buffer.from('x'));
  await writer.commit();
  const modeOf = async (path: string) => ((await stat(join(root, 'new', path))).mode & 0o777).toString(8);
  expect([await modeOf(''), await modeOf('teams'), await modeOf('teams/a')]).toEqual(['700', '700', '700']);
  expect(await modeOf('teams/a/original')).toBe('600');
});

test('empty folders go with the last file in them, and the root stays', async () => {
  const storage = createFileStorage({ root });
  for (const key of ['teams/a/tasks/1/1/original', 'teams/a/tasks/2/1/original']) {
    await (await storage.create(key)).commit();
  }
  await storage.delete('teams/a/tasks/1/1');
  expect(await readdir(join(root, 'teams/a/tasks'))).toEqual(['2']);
  const writer = await storage.create('teams/b/tasks/3/1/original');
  await writer.discard();
  expect(await readdir(join(root, 'teams'))).toEqual(['a']);
  await storage.delete('teams/a/tasks/2');
  expect(await readdir(root)).toEqual([]);
});

test('a symbolic link in the place of a file is neither read nor written through', async () => {
  await writeFile(join(root, 'secret'), 'secret');
  const storage = createFileStorage({ root: join(root, 'media') });
  await mkdir(join(root, 'media/a'), { recursive: true });
  await symlink(join(root, 'secret'), join(root, 'media/a/original'));
  await symlink(join(root, 'secret'), join(root, 'media/a/other.part'));
  await expect(storage.read('a/original')).rejects.toMatchObject({ reason: 'NOT_FOUND' });
  await expect(storage.create('a/other')).rejects.toMatchObject({ name: 'StorageError' });
  expect(await storage.stat('a/original')).toBeNull();
  const keys: string[] = [];
  for await (const key of storage.list('', { partials: true })) keys.push(key);
  expect(keys).toEqual([]);
});

test('a partial file keeps the bytes that were taken when the writer is closed', async () => {
  const storage = createFileStorage({ root });
  const writer = await storage.create('a/original');
  await writer.write(randomBytes(1_300_000));
  await writer.close();
  expect((await stat(join(root, 'a/original.part'))).size).toBe(1_300_000);
});

test('a reserve that is not there is a full storage', async () => {
  const storage = createFileStorage({ root, reserveBytes: Number.MAX_SAFE_INTEGER });
  await expect(storage.checkWritable()).rejects.toBeInstanceOf(StorageFullError);
  const writer = await storage.create('a/original');
  await expect(writer.expect(10)).rejects.toMatchObject({ name: 'StorageFullError', reason: 'FULL' });
  await writer.write(randomBytes(1_200_000));
  await expect(writer.commit()).rejects.toBeInstanceOf(StorageFullError);
  expect(await readdir(join(root, 'a'))).toEqual(['original.part']);
  await writer.discard();
  await writer.discard();
  expect(await readdir(root)).toEqual([]);
});

test('a sweep takes old partial files and the folders that are empty then', async () => {
  const storage = createFileStorage({ root });
  for (const key of ['a/1/original', 'a/2/original', 'b/original']) {
    await (await storage.create(key)).close();
  }
  await (await storage.create('c/original')).commit();
  const old = new Date(Date.now() - 2 * 86_400_000);
  for (const name of ['a/1/original.part', 'b/original.part', 'c/original']) {
    await utimes(join(root, name), old, old);
  }
  expect(await storage.sweepUnfinished(new Date(Date.now() - 86_400_000))).toBe(2);
  expect((await readdir(root, { recursive: true })).sort()).toEqual([
    'a',
    'a/2',
    'a/2/original.part',
    'c',
    'c/original',
  ]);
});

test('a sweep of a folder that is not there finds nothing', async () => {
  const storage = createFileStorage({ root: join(root, 'absent') });
  expect(await storage.sweepUnfinished(new Date())).toBe(0);
});

test('the folder being a file is a storage that does not work', async () => {
  await writeFile(join(root, 'file'), '');
  const storage = createFileStorage({ root: join(root, 'file') });
  await expect(storage.checkWritable()).rejects.toMatchObject({ name: 'StorageError' });
});

// A real volume of 64 MB, where the machine lets us mount one.
const canMount =
  spawnSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0 &&
  process.getuid?.() === 0;

describe.runIf(canMount)('on a volume of 64 MB', () => {
  const MB = 1024 * 1024;
  let volume: string;

  beforeEach(async () => {
    volume = join(root, 'volume');
    await mkdir(volume);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', volume]);
  });
  afterEach(() => {
    execFileSync('umount', [volume]);
  });

  test('writers that say their size are let in only as far as there is room for all of them', async () => {
    const storage = createFileStorage({ root: volume });
    const tries = Array.from({ length: 5 }, async (_, index) => {
      const writer = await storage.create(`tasks/${index}/original`);
      try {
        await writer.expect(20 * MB);
        for (let written = 0; written < 20; written++) await writer.write(randomBytes(MB));
        await writer.commit();
        return 'in';
      } catch (error) {
        await writer.discard();
        return error;
      }
    });
    const results = await Promise.all(tries);
    expect(results.filter((result) => result === 'in')).toHaveLength(3);
    expect(results.filter((result) => result instanceof StorageFullError)).toHaveLength(2);
    expect((await readdir(join(volume, 'tasks'))).length).toBe(3);
    await storage.delete('tasks/0');
    await storage.delete('tasks/1');
    await storage.delete('tasks/2');
    const again = await storage.create('tasks/3/original');
    await again.expect(20 * MB);
    await again.discard();
  });

  test('a volume that fills up under a writer is a full storage, and what was written before is kept in order', async () => {
    const storage = createFileStorage({ root: volume, reserveBytes: 0 });
    const data = randomBytes(80 * MB);
    const writer = await storage.create('tasks/1/original');
    const write = async () => {
      for (let at = 0; at < data.length; at += 100_000) await writer.write(data.subarray(at, at + 100_000));
      await writer.commit();
    };
    await expect(write()).rejects.toBeInstanceOf(StorageFullError);
    await writer.close();
    const kept = await storage.statPartial('tasks/1/original');
    expect(kept?.size).toBeGreaterThan(40 * MB);
    const bytes = await buffer(await storage.readPartial('tasks/1/original'));
    expect(bytes.equals(data.subarray(0, bytes.length))).toBe(true);
  });
});
