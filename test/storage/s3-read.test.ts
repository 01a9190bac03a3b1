import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createS3Storage } from '../../src/storage/s3.ts';
import type { Scripted } from '../support/s3.ts';
import { waitFor } from '../support/wait.ts';
import { BUCKET, countOf, PREFIX, type Setup, setUp } from './s3-setup.ts';

const MiB = 1024 * 1024;
const KEY = 'tasks/1/1/original';
const NAME = `${PREFIX}/${KEY}`;
const never = new AbortController().signal;

let setup: Setup;
beforeEach(async () => {
  setup = await setUp();
});
afterEach(() => setup.close());

/** Answers what is read, from the first on. */
function answerReads(reply: (index: number) => Scripted | undefined) {
  let index = 0;
  return setup.s3.script(({ operation }) => (operation === 'GetObject' ? reply(index++) : undefined));
}
const rangesRead = () =>
  setup.s3.requests.filter(({ operation }) => operation === 'GetObject').map(({ headers }) => headers.range);

describe('a read', () => {
  test('that is cut goes on behind the byte it was cut at', async () => {
    const { s3, open } = setup;
    const data = randomBytes(3 * MiB);
    s3.put(BUCKET, NAME, data);
    answerReads((index) => (index < 2 ? { cutAfterBytes: MiB } : undefined));
    expect((await buffer(await open().read(KEY))).equals(data)).toBe(true);
    expect(rangesRead()).toEqual([
      undefined,
      `bytes=${MiB}-${3 * MiB - 1}`,
      `bytes=${2 * MiB}-${3 * MiB - 1}`,
    ]);
  });

  test('of a range that is cut goes on within it', async () => {
    const { s3, open } = setup;
    const data = randomBytes(2 * MiB);
    s3.put(BUCKET, NAME, data);
    answerReads((index) => (index === 0 ? { cutAfterBytes: 100_000 } : undefined));
    const bytes = await buffer(await open().read(KEY, { start: 1000, end: 999_999 }));
    expect(bytes.equals(data.subarray(1000, 1_000_000))).toBe(true);
    expect(rangesRead()).toEqual(['bytes=1000-999999', 'bytes=101000-999999']);
  });

  test('that is cut again and again without a byte fails', async () => {
    const { s3, open } = setup;
    s3.put(BUCKET, NAME, randomBytes(MiB));
    answerReads(() => ({ cutAfterBytes: 10 }));
    await expect(buffer(await open().read(KEY))).rejects.toMatchObject({
      name: 'StorageError',
      reason: 'UNAVAILABLE',
    });
    expect(countOf(s3, 'GetObject')).toBeLessThan(10);
  });

  test('never mixes two objects', async () => {
    const { s3, open } = setup;
    s3.put(BUCKET, NAME, randomBytes(2 * MiB));
    answerReads((index) => {
      if (index > 0) s3.put(BUCKET, NAME, randomBytes(2 * MiB));
      return index === 0 ? { cutAfterBytes: MiB } : undefined;
    });
    await expect(buffer(await open().read(KEY))).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
  });

  test('that stands still goes on over another connection', async () => {
    const { s3, open } = setup;
    const data = randomBytes(2 * MiB);
    s3.put(BUCKET, NAME, data);
    answerReads((index) => (index === 0 ? { stallAfterBytes: MiB } : undefined));
    expect((await buffer(await open({ idleSeconds: 4 }).read(KEY))).equals(data)).toBe(true);
    expect(countOf(s3, 'GetObject')).toBe(2);
  });

  test('of a slow reader outlives its connection, and asks for nothing before it is wanted', async () => {
    const { s3, open } = setup;
    const data = randomBytes(40 * MiB);
    s3.put(BUCKET, NAME, data);
    // Longer than a busy machine stands still: otherwise it is not only the reader who makes a connection idle.
    const bytes = await open({ idleSeconds: 2.5 }).read(KEY);
    const chunks: Buffer[] = [];
    for (let pauses = 1; pauses <= 3; pauses++) {
      const [first] = await new Promise<Buffer[]>((resolve) =>
        bytes.once('readable', () => resolve([bytes.read()])),
      );
      if (first) chunks.push(first);
      await waitFor(() => s3.requests.at(-1)?.endedAt);
    }
    expect(countOf(s3, 'GetObject')).toBeLessThanOrEqual(4);
    for await (const chunk of bytes) chunks.push(chunk);
    expect(Buffer.concat(chunks).equals(data)).toBe(true);
  });

  test('that nobody wants any more gives its connection up', async () => {
    const { s3, open } = setup;
    s3.put(BUCKET, NAME, randomBytes(40 * MiB));
    answerReads(() => ({ stallAfterBytes: MiB }));
    const bytes = await open().read(KEY);
    await new Promise((resolve) => bytes.once('data', resolve));
    bytes.destroy();
    await waitFor(() => s3.requests[0]?.endedAt);
    expect(countOf(s3, 'GetObject')).toBe(1);
  });

  test('of a store that ignores ranges is not given the wrong bytes', async () => {
    const { s3, open } = setup;
    s3.put(BUCKET, NAME, randomBytes(MiB));
    s3.quirks.ignoreRange = true;
    await expect(open().read(KEY, { start: 10, end: 20 })).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
  });
});

describe('a local file', () => {
  test('is for our own user only, and gone afterwards', async () => {
    const { s3, open, tempDir } = setup;
    const data = randomBytes(3 * MiB);
    s3.put(BUCKET, NAME, data);
    answerReads((index) => (index === 0 ? { cutAfterBytes: MiB } : undefined));
    const seen = await open().withLocalFile(
      KEY,
      async (path) => ({ mode: (await stat(path)).mode & 0o777, data: await readFile(path) }),
      { signal: never },
    );
    expect(seen.mode.toString(8)).toBe('600');
    expect(seen.data.equals(data)).toBe(true);
    expect(await readdir(tempDir)).toEqual([]);
  });

  test('that is being copied is given up when that is called off', async () => {
    const { s3, open, tempDir } = setup;
    s3.put(BUCKET, NAME, randomBytes(3 * MiB));
    answerReads(() => ({ stallAfterBytes: MiB }));
    const controller = new AbortController();
    const lent = open().withLocalFile(KEY, async () => 'called', { signal: controller.signal });
    await waitFor(() => s3.requests.at(-1)?.bytesSent === MiB);
    controller.abort(new Error('enough'));
    await expect(lent).rejects.toThrow('enough');
    expect(await readdir(tempDir)).toEqual([]);
    await waitFor(() => s3.requests.at(-1)?.endedAt);
  });

  test('is not even begun when the store hangs and that is called off', async () => {
    const { s3, open } = setup;
    answerReads(() => ({ hang: true }));
    const controller = new AbortController();
    const lent = open().withLocalFile(KEY, async () => 'called', { signal: controller.signal });
    await waitFor(() => s3.requests.length === 1);
    controller.abort(new Error('enough'));
    await expect(lent).rejects.toThrow('enough');
  });

  test('of a process that was killed is swept when it is old', async () => {
    const { open, tempDir } = setup;
    const old = new Date(Date.now() - 2 * 86_400_000);
    for (const name of ['copy-1', 'copy-2', 'other']) await writeFile(join(tempDir, name), 'x');
    for (const name of ['copy-1', 'other']) await utimes(join(tempDir, name), old, old);
    expect(await open().sweepUnfinished(new Date(Date.now() - 86_400_000))).toBe(1);
    expect((await readdir(tempDir)).sort()).toEqual(['copy-2', 'other']);
  });

  // A real volume of 16 MB, where the machine lets us mount one.
  const canMount =
    spawnSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0 &&
    process.getuid?.() === 0;

  test.runIf(canMount)('that does not fit is a full storage', async () => {
    const { s3, tempDir } = setup;
    const folder = join(tempDir, 'volume');
    await mkdir(folder);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', folder]);
    try {
      s3.put(BUCKET, NAME, randomBytes(20 * MiB));
      const storage = createS3Storage({
        place: { bucket: BUCKET, prefix: PREFIX, endpoint: s3.endpoint },
        tempDir: folder,
        log: setup.log,
      });
      const lent = storage.withLocalFile(KEY, async () => 'called', { signal: never });
      await expect(lent).rejects.toMatchObject({ name: 'StorageFullError' });
      expect(await readdir(folder)).toEqual([]);
    } finally {
      execFileSync('umount', [folder]);
    }
  });
});
