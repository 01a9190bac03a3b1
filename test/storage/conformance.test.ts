import { randomBytes } from 'node:crypto';
import {
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { finished } from 'node:stream/promises';
import { pathToFileURL } from 'node:url';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Storage } from '../../src/storage/adapter.ts';
import { openStorage } from '../../src/storage/open.ts';
import { startS3 } from '../support/s3.ts';
import { startS3rver } from '../support/s3rver.ts';

const log = pino({ level: 'silent' });

async function tempFolder() {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-storage-'));
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** Every adapter has to pass all of this. */
const adapters = [
  {
    name: 'file',
    listsUploads: true,
    open: async () => {
      const { folder, remove } = await tempFolder();
      const storage = openStorage(pathToFileURL(join(folder, 'media')).href, { tempDir: folder, log });
      return { storage, close: remove };
    },
  },
  {
    name: 's3',
    listsUploads: true,
    open: async () => {
      const { folder, remove } = await tempFolder();
      const s3 = await startS3();
      s3.createBucket('media');
      useCredentials(s3);
      const url = `s3://media/some/prefix?region=us-east-1&endpoint=${encodeURIComponent(s3.endpoint)}`;
      const close = async () => {
        await s3.stop();
        await remove();
      };
      return { storage: openStorage(url, { tempDir: join(folder, 'temp'), log }), close };
    },
  },
  {
    name: 's3 of a store that lists no uploads',
    listsUploads: false,
    open: async () => {
      const { folder, remove } = await tempFolder();
      const s3 = await startS3rver({ bucket: 'media' });
      useCredentials(s3);
      const url = `s3://media?endpoint=${encodeURIComponent(s3.endpoint)}`;
      const close = async () => {
        await s3.stop();
        await remove();
      };
      return { storage: openStorage(url, { tempDir: join(folder, 'temp'), log }), close };
    },
  },
];

/** As an operator sets them: in the environment, where the AWS tools look first. */
function useCredentials(of: { readonly accessKeyId: string; readonly secretAccessKey: string }): void {
  vi.stubEnv('AWS_ACCESS_KEY_ID', of.accessKeyId);
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', of.secretAccessKey);
}

describe.each(adapters)('a storage of kind $name', ({ open, listsUploads }) => {
  let storage: Storage;
  let close: () => Promise<void>;
  let count = 0;
  const signal = new AbortController().signal;
  const newPrefix = () => `teams/t1/tasks/task-${++count}/1`;

  beforeAll(async () => {
    ({ storage, close } = await open());
  });
  afterAll(async () => {
    await close();
    vi.unstubAllEnvs();
  });

  async function put(key: string, ...chunks: Uint8Array[]): Promise<void> {
    const writer = await storage.create(key);
    for (const chunk of chunks) await writer.write(chunk);
    await writer.commit();
  }
  const get = async (key: string) => buffer(await storage.read(key));
  const listed = async (prefix: string, options?: { partials: boolean }) => {
    const keys: string[] = [];
    for await (const key of storage.list(prefix, options)) keys.push(key);
    return keys.sort();
  };

  test('moves what was committed to another key, whole, and only if it is there', async () => {
    const [from, to] = [`uploads/up-${count}/original`, `${newPrefix()}/original`];
    const bytes = randomBytes(100_000);
    await put(from, bytes);
    await storage.move(from, to);
    expect((await get(to)).equals(bytes)).toBe(true);
    expect(await storage.stat(from)).toBeNull();
    await expect(storage.move(from, to)).rejects.toMatchObject({ reason: 'NOT_FOUND' });
    expect((await get(to)).equals(bytes)).toBe(true);
  });

  test('gives back the bytes that were committed, whatever the sizes of the chunks', async () => {
    const sizes = [0, 1, 4095, 65_536, 1_048_575, 1_048_577, 3_000_001, 7];
    const chunks = sizes.map((size) => randomBytes(size));
    const key = `${newPrefix()}/original`;
    const before = Date.now();
    await put(key, ...chunks);
    const expected = Buffer.concat(chunks);
    expect((await get(key)).equals(expected)).toBe(true);
    const stored = await storage.stat(key);
    expect(stored?.size).toBe(expected.length);
    expect(Math.abs((stored?.modifiedAt.getTime() ?? 0) - before)).toBeLessThan(60_000);
  });

  test('takes thousands of tiny chunks in order', async () => {
    const key = `${newPrefix()}/original`;
    const chunks = Array.from({ length: 5000 }, (_, index) => Buffer.from(`${index},`));
    await put(key, ...chunks);
    expect((await get(key)).equals(Buffer.concat(chunks))).toBe(true);
  });

  test('gives a range with both ends included', async () => {
    const key = `${newPrefix()}/original`;
    await put(key, Buffer.from('0123456789'));
    expect((await buffer(await storage.read(key, { start: 2, end: 5 }))).toString()).toBe('2345');
    expect((await buffer(await storage.read(key, { start: 9, end: 99 }))).toString()).toBe('9');
  });

  test('shows nothing at a key before the commit, and the old bytes until a new commit', async () => {
    const key = `${newPrefix()}/original`;
    const writer = await storage.create(key);
    await writer.write(Buffer.from('first'));
    expect(await storage.stat(key)).toBeNull();
    await expect(storage.read(key)).rejects.toMatchObject({ name: 'StorageError', reason: 'NOT_FOUND' });
    await writer.commit();
    const second = await storage.create(key);
    await second.write(Buffer.from('second'));
    expect((await get(key)).toString()).toBe('first');
    await second.commit();
    expect((await get(key)).toString()).toBe('second');
  });

  test.runIf(listsUploads)('gives back what an unfinished write left', async () => {
    const key = `${newPrefix()}/original`;
    expect(await storage.statPartial(key)).toBeNull();
    await expect(storage.readPartial(key)).rejects.toMatchObject({ reason: 'NOT_FOUND' });
    const data = randomBytes(20_000_003);
    const writer = await storage.create(key);
    await writer.write(data);
    await writer.close();
    await writer.close();
    await expect(writer.write(Buffer.from('x'))).rejects.toThrow('has ended');
    await expect(writer.commit()).rejects.toThrow('has ended');
    expect(await storage.stat(key)).toBeNull();
    expect(await storage.statPartial(key)).toMatchObject({ size: data.length });
    expect((await buffer(await storage.readPartial(key))).equals(data)).toBe(true);
    await storage.delete(key);
    expect(await storage.stat(key)).toBeNull();
    expect(await storage.statPartial(key)).toBeNull();
  });

  test('throws away what an earlier write left unfinished', async () => {
    const key = `${newPrefix()}/original`;
    const first = await storage.create(key);
    await first.write(Buffer.from('abc'));
    await first.close();
    const second = await storage.create(key);
    expect(second.bytes).toBe(0);
    expect((await storage.statPartial(key))?.size ?? 0).toBe(0);
    await second.write(Buffer.from('x'));
    await second.commit();
    expect((await get(key)).toString()).toBe('x');
    expect(await storage.statPartial(key)).toBeNull();
  });

  test('writes as much as was announced, in whatever order reset and announcement come', async () => {
    const key = `${newPrefix()}/original`;
    const writer = await storage.create(key);
    await writer.expect(9_000_000);
    await writer.write(randomBytes(9_000_000));
    await writer.reset();
    await writer.expect(17_000_000);
    const data = randomBytes(17_000_000);
    for (let at = 0; at < data.length; at += 700_001) await writer.write(data.subarray(at, at + 700_001));
    expect(writer.bytes).toBe(data.length);
    await writer.commit();
    expect((await get(key)).equals(data)).toBe(true);
    expect(await storage.statPartial(key)).toBeNull();
    const range = { start: 8_388_000, end: 8_389_000 };
    expect(await buffer(await storage.read(key, range))).toEqual(data.subarray(range.start, range.end + 1));
  });

  test('takes an object without bytes', async () => {
    const key = `${newPrefix()}/original`;
    await (await storage.create(key)).commit();
    expect(await storage.stat(key)).toMatchObject({ size: 0 });
    expect(await get(key)).toHaveLength(0);
  });

  test.runIf(listsUploads)(
    'sweeps what was left unfinished before a time, and nothing that was committed',
    async () => {
      const prefix = newPrefix();
      for (const name of ['one', 'two']) {
        const writer = await storage.create(`${prefix}/${name}`);
        await writer.write(Buffer.from(name));
        await writer.close();
      }
      await put(`${prefix}/original`, Buffer.from('1'));
      await storage.sweepUnfinished(new Date(Date.now() - 86_400_000));
      expect(await listed(prefix, { partials: true })).toHaveLength(3);
      const swept = await storage.sweepUnfinished(new Date(Date.now() + 60_000));
      expect(swept).toBeGreaterThanOrEqual(2);
      expect(await listed(prefix, { partials: true })).toEqual([`${prefix}/original`]);
      expect(await storage.sweepUnfinished(new Date(Date.now() + 60_000))).toBe(0);
    },
  );

  test('ends a read that is given up, as often as one likes', async () => {
    const key = `${newPrefix()}/original`;
    await put(key, randomBytes(3_000_000));
    for (let count = 0; count < 20; count++) {
      const bytes = await storage.read(key);
      bytes.destroy();
      await finished(bytes, { error: false }).catch(() => {});
      expect(bytes.closed).toBe(true);
    }
    expect(await get(key)).toHaveLength(3_000_000);
  });

  test('begins again at byte 0 after a reset', async () => {
    const key = `${newPrefix()}/original`;
    const writer = await storage.create(key);
    await writer.write(randomBytes(2_500_000));
    await writer.reset();
    expect(writer.bytes).toBe(0);
    await writer.write(Buffer.from('new'));
    await writer.commit();
    expect((await get(key)).toString()).toBe('new');
  });

  test('leaves nothing of a write that is discarded', async () => {
    const prefix = newPrefix();
    const writer = await storage.create(`${prefix}/original`);
    await writer.write(randomBytes(1_500_000));
    await writer.discard();
    await writer.close();
    await writer.discard();
    expect(await storage.statPartial(`${prefix}/original`)).toBeNull();
    expect(await listed(prefix, { partials: true })).toEqual([]);
    await expect(writer.write(Buffer.from('x'))).rejects.toThrow('has ended');
  });

  test('lists the keys below a prefix, and unfinished ones only when asked', async () => {
    const prefix = newPrefix();
    await put(`${prefix}/original`, Buffer.from('1'));
    await put(`${prefix}/hls/video.m3u8`, Buffer.from('2'));
    const open = await storage.create(`${prefix}/poster.jpg`);
    await open.write(Buffer.from('3'));
    await open.close();
    const again = await storage.create(`${prefix}/original`);
    await again.write(Buffer.from('4'));
    await again.close();
    await put(`${prefix}0/original`, Buffer.from('a neighbour'));
    expect(await listed(prefix)).toEqual([`${prefix}/hls/video.m3u8`, `${prefix}/original`]);
    expect(await listed(`${prefix}/`)).toEqual([`${prefix}/hls/video.m3u8`, `${prefix}/original`]);
    expect(await listed(prefix, { partials: true })).toEqual([
      `${prefix}/hls/video.m3u8`,
      `${prefix}/original`,
      ...(listsUploads ? [`${prefix}/poster.jpg`] : []),
    ]);
    expect(await listed(`${prefix}/original`)).toEqual([`${prefix}/original`]);
    expect(await listed('teams/nobody')).toEqual([]);
  });

  test('deletes everything below a prefix and nothing beside it, as often as one likes', async () => {
    const prefix = newPrefix();
    await put(`${prefix}/original`, Buffer.from('1'));
    await put(`${prefix}/hls/segment1.mp4`, Buffer.from('2'));
    await put(`${prefix}0/original`, Buffer.from('a neighbour'));
    for (const name of ['poster.jpg', 'original']) {
      const open = await storage.create(`${prefix}/${name}`);
      await open.write(Buffer.from('3'));
      await open.close();
    }
    await storage.delete(prefix);
    await storage.delete(prefix);
    expect(await listed(prefix, { partials: true })).toEqual([]);
    expect(await storage.stat(`${prefix}/original`)).toBeNull();
    expect((await get(`${prefix}0/original`)).toString()).toBe('a neighbour');
  });

  test('deletes a single key, with what an unfinished write left there', async () => {
    const key = `${newPrefix()}/original`;
    const writer = await storage.create(key);
    await writer.write(Buffer.from('x'));
    await writer.close();
    await storage.delete(key);
    expect(await storage.statPartial(key)).toBeNull();
  });

  test('lends a local file with the bytes of a key', async () => {
    const key = `${newPrefix()}/original`;
    await put(key, Buffer.from('local'));
    const text = await storage.withLocalFile(key, (path) => readFile(path, 'utf8'), { signal });
    expect(text).toBe('local');
    const failing = storage.withLocalFile(key, () => Promise.reject(new Error('of its own')), { signal });
    await expect(failing).rejects.toThrow('of its own');
    const missing = storage.withLocalFile(`${key}2`, async () => 'called', { signal });
    await expect(missing).rejects.toMatchObject({ reason: 'NOT_FOUND' });
    const aborted = storage.withLocalFile(key, async () => 'called', {
      signal: AbortSignal.abort(new Error('stop')),
    });
    await expect(aborted).rejects.toThrow('stop');
  });

  test('lends an empty folder to work in, which is gone when the work is done or has failed', async () => {
    const used: string[] = [];
    const work = (text: string) => async (path: string) => {
      used.push(path);
      expect(await readdir(path)).toEqual([]);
      expect((await stat(path)).mode & 0o777).toBe(0o700);
      await mkdir(join(path, 'deep'));
      await writeFile(join(path, 'deep', 'file'), text);
      if (text === 'bad') throw new Error('of its own');
      return await readFile(join(path, 'deep', 'file'), 'utf8');
    };
    const [one, two] = await Promise.all([
      storage.withWorkFolder(work('one')),
      storage.withWorkFolder(work('two')),
      expect(storage.withWorkFolder(work('bad'))).rejects.toThrow('of its own'),
    ]);
    expect([one, two, new Set(used).size]).toEqual(['one', 'two', 3]);
    for (const path of used) await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' });
    expect((await listed('')).filter((key) => !key.startsWith('teams/'))).toEqual([]);
  });

  test('sweeps work folders of processes that died, and none that is in use', async () => {
    const young = 'aaaaaaaa-0000-4000-8000-000000000000';
    const old = 'bbbbbbbb-0000-4000-8000-000000000000';
    await storage.sweepUnfinished(new Date(Date.now() + 60_000));
    await storage.withWorkFolder(async (path) => {
      const long = new Date(Date.now() - 3_600_000);
      for (const name of [young, old]) await mkdir(join(path, '..', name, 'stream'), { recursive: true });
      await writeFile(join(path, '..', old, 'stream', 'main.mp4'), 'x');
      for (const each of [path, join(path, '..', old)]) await utimes(each, long, long);
      expect(await storage.sweepUnfinished(new Date(Date.now() - 7_200_000))).toBe(0);
      expect(await storage.sweepUnfinished(new Date(Date.now() + 60_000))).toBe(1);
      expect((await readdir(join(path, '..'))).sort()).toEqual([basename(path), young].sort());
      await rm(join(path, '..', young), { recursive: true });
    });
  });

  test('adopts a local file, of one part or many, which is gone then', async () => {
    const prefix = newPrefix();
    await storage.withWorkFolder(async (path) => {
      for (const size of [0, 1000, 20_000_003]) {
        const file = join(path, `${size}`);
        const bytes = randomBytes(size);
        await writeFile(file, bytes);
        await storage.adopt(file, `${prefix}/stream/${size}.mp4`);
        expect((await get(`${prefix}/stream/${size}.mp4`)).equals(bytes)).toBe(true);
        await expect(stat(file)).rejects.toMatchObject({ code: 'ENOENT' });
      }
    });
    expect(await storage.statPartial(`${prefix}/stream/20000003.mp4`)).toBeNull();
    expect(await listed(prefix)).toHaveLength(3);
  });

  test('adopts what is a plain file of one name only', async () => {
    const key = `${newPrefix()}/stream/main.mp4`;
    const refusal = { name: 'StorageError', reason: 'NOT_FOUND' };
    await storage.withWorkFolder(async (path) => {
      await writeFile(join(path, 'secret'), 'secret');
      await symlink(join(path, 'secret'), join(path, 'soft'));
      await link(join(path, 'secret'), join(path, 'hard'));
      for (const name of ['soft', 'hard', 'missing', '.'])
        await expect(storage.adopt(join(path, name), key), name).rejects.toMatchObject(refusal);
      await expect(storage.adopt(join(path, 'secret'), '../x')).rejects.toMatchObject({
        reason: 'INVALID_KEY',
      });
      expect(await readFile(join(path, 'secret'), 'utf8')).toBe('secret');
    });
    expect(await storage.stat(key)).toBeNull();
  });

  test('adopts all of a folder, or nothing where a name cannot be a key', async () => {
    const prefix = newPrefix();
    await storage.withWorkFolder(async (path) => {
      for (const folder of ['stream', 'scenes', 'empty']) await mkdir(join(path, folder));
      await writeFile(join(path, 'stream', 'main.m3u8'), '#EXTM3U');
      for (let at = 0; at < 20; at += 1) await writeFile(join(path, 'scenes', `${at}.webp`), `${at}`);
      await writeFile(join(path, 'scenes', 'ä'), 'no key');
      await expect(storage.adoptFolder(path, prefix)).rejects.toMatchObject({ reason: 'INVALID_KEY' });
      expect(await listed(prefix)).toEqual([]);
      await rm(join(path, 'scenes', 'ä'));
      await storage.adoptFolder(path, prefix);
      expect(await readdir(join(path, 'scenes'))).toEqual([]);
    });
    expect(await listed(prefix)).toHaveLength(21);
    expect((await get(`${prefix}/scenes/7.webp`)).toString()).toBe('7');
    expect((await get(`${prefix}/stream/main.m3u8`)).toString()).toBe('#EXTM3U');
  });

  test('writes many keys at once without mixing them up, while neighbours are deleted', async () => {
    const prefix = newPrefix();
    const files = Array.from({ length: 24 }, (_, index) => ({
      key: `${prefix}/part${index}/original`,
      data: randomBytes(300_000),
    }));
    await Promise.all(
      files.map(async ({ key, data }, index) => {
        await put(key, data);
        if (index % 2 === 1) await storage.delete(key);
      }),
    );
    for (const [index, { key, data }] of files.entries()) {
      if (index % 2 === 1) expect(await storage.stat(key)).toBeNull();
      else expect((await get(key)).equals(data)).toBe(true);
    }
  });

  test.each([
    '',
    '/',
    '..',
    '../x',
    'a/../b',
    '/etc/passwd',
    'a//b',
    'a/.b',
    'a\0b',
    'ä',
    'a b',
    'x.part',
    'a\\b',
    'a\r\nb',
  ])('refuses %j as a key everywhere', async (key) => {
    const refusal = { name: 'StorageError', reason: 'INVALID_KEY' };
    await expect(storage.create(key)).rejects.toMatchObject(refusal);
    await expect(storage.stat(key)).rejects.toMatchObject(refusal);
    await expect(storage.read(key)).rejects.toMatchObject(refusal);
    await expect(storage.statPartial(key)).rejects.toMatchObject(refusal);
    await expect(storage.readPartial(key)).rejects.toMatchObject(refusal);
    await expect(storage.delete(key)).rejects.toMatchObject(refusal);
    await expect(storage.withLocalFile(key, async () => 1, { signal })).rejects.toMatchObject(refusal);
  });

  test('knows that it can be written to', async () => {
    await storage.checkWritable();
    expect((await listed('')).every((key) => key.startsWith('teams/'))).toBe(true);
  });
});
