import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createFolderSource, resolveFolder } from '../../src/sources/folder.ts';
import { ForbiddenFolderError } from '../../src/sources/folder-errors.ts';
import { createListing } from '../../src/sources/folder-listing.ts';
import { rawOf } from '../../src/sources/folder-path.ts';
import { readPosition, writePosition } from '../../src/sources/folder-position.ts';
import { createWalk } from '../../src/sources/folder-walk.ts';
import type { ListedObject, ObjectSource } from '../../src/sources/source.ts';

// Every system of ours has it; it is no package.
const MAKE_PIPE = 'mkfifo';
const signal = new AbortController().signal;

let base: string;
/** The folder that is imported from. */
let root: string;
/** Beside it, for what must not be read. */
let outside: string;

beforeEach(() => {
  base = realpathSync(mkdtempSync(join(tmpdir(), 'sluice-folder-')));
  root = join(base, 'videos');
  outside = join(base, 'private');
  mkdirSync(root);
  mkdirSync(outside);
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

/** Writes a file below a folder, and the folders on the way. */
function put(path: string | Buffer, content = 'film'): void {
  const at = typeof path === 'string' ? join(root, path) : Buffer.concat([Buffer.from(`${root}/`), path]);
  if (typeof at === 'string') mkdirSync(dirname(at), { recursive: true });
  writeFileSync(at, content);
}

const sourceOf = (path = root, allowed = [base]) => createFolderSource({ path, allowed });

interface ListOptions {
  readonly prefix?: string;
  /** Gives the source that each page is asked of; the same one unless given. */
  readonly source?: () => ObjectSource;
  /** Called after each page. */
  readonly between?: (page: number) => void;
}

async function listAll(options: ListOptions = {}) {
  const { prefix = null, between } = options;
  const one = sourceOf();
  const pages: (readonly ListedObject[])[] = [];
  let position: string | null = null;
  do {
    const source = options.source?.() ?? one;
    const page = await source.list({ prefix, position, signal });
    pages.push(page.objects);
    position = page.next;
    between?.(pages.length);
  } while (position !== null);
  return { pages, objects: pages.flat(), keys: pages.flat().map(({ key }) => key) };
}

describe('resolveFolder', () => {
  test('gives the real path of what lies at or below an allowed folder', async () => {
    mkdirSync(join(root, 'a/b'), { recursive: true });
    symlinkSync(join(root, 'a'), join(root, 'link'));
    symlinkSync(root, join(base, 'elsewhere'));
    expect(await resolveFolder(root, [root])).toBe(root);
    expect(await resolveFolder(`${root}/a/../a/b/`, [outside, root])).toBe(join(root, 'a/b'));
    expect(await resolveFolder(join(root, 'link/b'), [root])).toBe(join(root, 'a/b'));
    expect(await resolveFolder(join(base, 'elsewhere/a'), [root])).toBe(join(root, 'a'));
    expect(await resolveFolder(root, [join(base, 'elsewhere'), '/not/there'])).toBe(root);
    expect(await resolveFolder(root, ['/'])).toBe(root);
  });

  test('refuses everything else, whether it is there or not', async () => {
    mkdirSync(`${root}-2`);
    symlinkSync(outside, join(root, 'link'));
    const message = (await resolveFolder(outside, [root]).catch(String)) as string;
    const paths = [outside, `${root}-2`, `${root}/../private`, `${root}/link`, base, '/', `${outside}/none`];
    for (const path of paths) {
      const error = await resolveFolder(path, [root]).catch((thrown: unknown) => thrown);
      expect(error, path).toBeInstanceOf(ForbiddenFolderError);
      expect(String(error), path).toBe(message);
    }
    await expect(resolveFolder(root, [])).rejects.toThrow(ForbiddenFolderError);
    await expect(resolveFolder('videos', ['/'])).rejects.toThrow(ForbiddenFolderError);
    await expect(resolveFolder(`${root}\0`, ['/'])).rejects.toThrow(ForbiddenFolderError);
  });

  test('says what is not there, or no folder', async () => {
    put('film.mp4');
    for (const path of [join(root, 'none'), join(root, 'film.mp4'), join(root, 'film.mp4/a')]) {
      await expect(resolveFolder(path, [root])).rejects.toMatchObject({ code: 'SOURCE_NOT_FOUND' });
    }
  });
});

test('check sees whether the folder is still there, and still where the operator allows it', async () => {
  const source = sourceOf(root, [root]);
  await source.check(signal);
  renameSync(root, join(base, 'moved'));
  await expect(source.check(signal)).rejects.toMatchObject({ code: 'SOURCE_NOT_FOUND' });
  await expect(source.list({ prefix: null, position: null, signal })).rejects.toMatchObject({
    code: 'SOURCE_NOT_FOUND',
  });
  symlinkSync(outside, root);
  await expect(sourceOf(root, [join(base, 'moved')]).check(signal)).rejects.toMatchObject({
    code: 'SOURCE_NOT_AUTHORIZED',
  });
  expect(source.place).toBe(`folder:${root}`);
});

describe('a listing', () => {
  test('of 10,000 files, each page by a source of its own, has each exactly once', async () => {
    const expected: string[] = [];
    for (let folder = 0; folder < 40; folder++) {
      for (let file = 0; file < 250; file++) {
        const key = `${folder % 8}/${folder % 3 ? '' : 'sub/'}f${folder}/${file}${file % 2 ? '.mp4' : ''}`;
        put(key);
        expected.push(key);
      }
    }
    const { pages, keys } = await listAll({ source: () => sourceOf() });
    expect(Math.max(...pages.map((page) => page.length))).toBe(1000);
    expect([...keys].sort()).toEqual(expected.sort());
    const again = await listAll();
    expect(again.keys).toEqual(keys);
  });

  test('tells size and version, which are those of the open file', async () => {
    put('a.mp4', 'one');
    put('sub/b.mp4', 'three');
    const { objects } = await listAll();
    expect(objects).toMatchObject([
      { key: 'a.mp4', size: 3, version: expect.stringMatching(/^\d+;3$/) },
      { key: 'sub/b.mp4', size: 5, version: expect.stringMatching(/^\d+;5$/) },
    ]);
    for (const { key, version } of objects) {
      const file = await sourceOf().file(key).open({ signal });
      expect(file.version).toBe(version);
      file.close();
    }
  });

  test('goes on behind any path, whatever the names', async () => {
    const names = ['a', 'a.txt', 'a!', 'a b', 'ä', '%41', 'a%', 'Z', '~', 'a-', '\u{1f3ac}'];
    for (const name of names) put(`${name}.d/x`);
    for (const name of names) put(`a/${name}`);
    for (const name of names.slice(1)) put(name);
    put(Buffer.from([0x61, 0xff]));
    put(Buffer.from([0x61, 0x2f, 0xfe, 0x2e]));
    const walkFrom = async (after: string | null) => {
      const walk = createWalk({ root: rawOf(root), prefix: '', after });
      const paths: string[] = [];
      for (let step = await walk.next(signal); step !== null; step = await walk.next(signal)) {
        paths.push(step.path);
      }
      return paths;
    };
    const all = await walkFrom(null);
    expect(new Set(all).size).toBe(all.length);
    // Folders are steps as well.
    expect(all.filter((path) => !path.endsWith('/'))).toHaveLength(3 * names.length + 1);
    for (const [index, path] of all.entries()) {
      expect(await walkFrom(readPosition(writePosition(path)))).toEqual(all.slice(index + 1));
    }
  });

  test('ends its pages in time, and still comes to an end', async () => {
    for (const key of ['a/b/c/1', 'a/b/2', 'a/3', 'd/e/4', 'f']) put(key);
    for (const name of ['empty', 'd/empty']) mkdirSync(join(root, name));
    const source = () => {
      const list = createListing(async () => rawOf(root), { maxPageMs: 0 });
      return { ...sourceOf(), list };
    };
    const { pages, keys } = await listAll({ source });
    expect(keys).toEqual(['a/3', 'a/b/2', 'a/b/c/1', 'd/e/4', 'f']);
    expect(pages.length).toBeGreaterThan(10);
  });

  test('has a position that keeps every byte and can be stored', () => {
    const bytes = fc.uint8Array({ min: 1 }).map((array) => Buffer.from(array).toString('latin1'));
    fc.assert(
      fc.property(bytes, (path) => {
        expect(writePosition(path)).toMatch(/^[ -~]*$/);
        expect(readPosition(writePosition(path))).toBe(path);
      }),
    );
  });

  test.each([false, true])('bears what comes and goes meanwhile (new sources: %s)', async (isNew) => {
    for (let index = 1000; index < 2500; index++) put(`m/${index}`);
    put('n/gone/a');
    put('n/stays');
    const { keys } = await listAll({
      ...(isNew ? { source: () => sourceOf() } : {}),
      between: (page) => {
        if (page !== 1) return;
        put('a/earlier');
        put('z/later');
        rmSync(join(root, 'm/2100'));
        rmSync(join(root, 'm/1500'));
        rmSync(join(root, 'n/gone'), { recursive: true });
      },
    });
    expect(new Set(keys).size).toBe(keys.length);
    expect(keys.filter((key) => key.startsWith('m/') && key !== 'm/1500')).toHaveLength(1498);
    expect(keys).not.toContain('m/2100');
    expect(keys.filter((key) => !key.startsWith('m/'))).toEqual(isNew ? ['n/stays', 'z/later'] : ['n/stays']);
  });

  test('of a share that goes away in the middle does not end as if it were complete', async () => {
    for (let index = 0; index < 1001; index++) put(`a/${index}`);
    put('b/film.mp4');
    const takeAway = () => {
      renameSync(root, join(base, 'moved'));
      mkdirSync(root);
    };
    await expect(listAll({ between: takeAway })).rejects.toMatchObject({
      code: 'SOURCE_UNAVAILABLE',
      retryable: true,
    });
  });

  test('holds to a prefix of keys', async () => {
    for (const key of ['a/b/1', 'a/b2', 'a/c', 'ab', 'b', 'ä/1']) put(key);
    const keysOf = async (prefix: string) => (await listAll({ prefix })).keys;
    expect(await keysOf('a')).toEqual(['a/b/1', 'a/b2', 'a/c', 'ab']);
    expect(await keysOf('a/b')).toEqual(['a/b/1', 'a/b2']);
    expect(await keysOf('a/b/')).toEqual(['a/b/1']);
    expect(await keysOf('ä/')).toEqual(['ä/1']);
    expect(await keysOf('')).toHaveLength(6);
    for (const none of ['a/b/1/', '../private', '/a', 'c']) expect(await keysOf(none)).toEqual([]);
  });

  test('reads no folder that cannot hold the prefix', async ({ skip }) => {
    for (const key of ['yes/1', 'no/1']) put(key);
    const lastRead = (name: string) => {
      return statSync(join(root, name)).atimeMs;
    };
    for (const name of ['yes', 'no']) utimesSync(join(root, name), 1, 1_000_000_000);
    await listAll({ prefix: 'ye' });
    if (lastRead('yes') === 1000) skip('this file system does not note when a folder was read');
    expect(lastRead('no')).toBe(1000);
  });

  test('ends with the reason of an abort', async () => {
    put('a');
    const reason = new Error('lease lost');
    const aborted = sourceOf().list({ prefix: null, position: null, signal: AbortSignal.abort(reason) });
    await expect(aborted).rejects.toBe(reason);
  });
});

describe('what is no plain file of the folder', () => {
  const refusals = async () =>
    Object.fromEntries((await listAll()).objects.map(({ key, refusal }) => [key, refusal?.code]));

  test('links are followed to files below only', async () => {
    put('real/film.mp4', 'content');
    writeFileSync(join(outside, 'secret.mp4'), 'secret');
    symlinkSync('real/film.mp4', join(root, 'in'));
    symlinkSync(join(outside, 'secret.mp4'), join(root, 'out'));
    symlinkSync(outside, join(root, 'out-folder'));
    symlinkSync(root, join(root, 'around'));
    symlinkSync('nothing', join(root, 'broken'));
    symlinkSync('loop', join(root, 'loop'));
    symlinkSync('/dev/null', join(root, 'device'));
    expect(await refusals()).toEqual({
      'real/film.mp4': undefined,
      in: undefined,
      out: 'SOURCE_NOT_AUTHORIZED',
      'out-folder': 'SOURCE_NOT_AUTHORIZED',
      around: 'SOURCE_NOT_AUTHORIZED',
      broken: 'SOURCE_NOT_FOUND',
      loop: 'SOURCE_NOT_AUTHORIZED',
      device: 'SOURCE_NOT_AUTHORIZED',
    });
    const { objects } = await listAll();
    const [link, film] = ['in', 'real/film.mp4'].map((key) => objects.find((one) => one.key === key));
    expect(link).toEqual({ ...film, key: 'in' });
    expect(film?.size).toBe(7);
    for (const { refusal } of objects) if (refusal) expect(refusal.message).not.toContain(base);
  });

  test('hard links, pipes and sockets are refused', async () => {
    put('one');
    linkSync(join(root, 'one'), join(outside, 'two'));
    execFileSync(MAKE_PIPE, [join(root, 'pipe')]);
    const server = createServer().listen(join(root, 'socket'));
    await new Promise((resolve) => server.once('listening', resolve));
    expect(await refusals()).toEqual({
      one: 'SOURCE_NOT_AUTHORIZED',
      pipe: 'UNSUPPORTED_MEDIA_TYPE',
      socket: 'UNSUPPORTED_MEDIA_TYPE',
    });
    await new Promise((resolve) => server.close(resolve));
  });

  test('names that no key can be are refused, with keys of their own that can be stored', async () => {
    put('sub/\u{fffd}.mp4');
    for (const byte of [0xfe, 0xff]) put(Buffer.from([...Buffer.from('sub/'), byte, ...Buffer.from('.mp4')]));
    mkdirSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xfc])]));
    put(Buffer.from([0xfc, 0x2f, 0x61]));
    const { objects } = await listAll();
    const keys = objects.map(({ key }) => key);
    expect(keys.map((key) => key.replace(/[0-9a-f]{32}/, '#')).sort()).toEqual([
      '/#/\u{fffd}/',
      'sub//#/\u{fffd}.mp4',
      'sub//#/\u{fffd}.mp4',
      'sub/\u{fffd}.mp4',
    ]);
    expect(new Set(keys).size).toBe(4);
    for (const { key, refusal } of objects) {
      expect(key.isWellFormed()).toBe(true);
      expect(refusal?.code).toBe(key === 'sub/\u{fffd}.mp4' ? undefined : 'SOURCE_NOT_FOUND');
      if (refusal) {
        await expect(sourceOf().file(key).open({ signal })).rejects.toMatchObject({
          code: 'SOURCE_NOT_FOUND',
        });
      }
    }
  });

  test('paths longer than keys are refused, folders as a whole', async () => {
    const long = Array(4).fill('d'.repeat(250)).join('/');
    put(`${long}/${'f'.repeat(20)}`);
    put(`${long}/${'f'.repeat(21)}`);
    put(`${long}/${'g'.repeat(30)}/a`);
    const { objects } = await listAll();
    expect(objects.map(({ key, refusal }) => [Buffer.byteLength(key) <= 1024, refusal?.code])).toEqual([
      [true, undefined],
      [true, 'SOURCE_NOT_FOUND'],
      [true, 'SOURCE_NOT_FOUND'],
    ]);
    expect(objects[0]?.key).toHaveLength(1024);
    expect(objects[1]?.key).toMatch(/^\/[0-9a-f]{32}\/f{21}$/);
  });

  test('folders that become links are left, with all that was to be told of them', async () => {
    for (let index = 1000; index < 2001; index++) put(`y/${index}`);
    put('y/sub/secret.mp4');
    put('z/secret.mp4');
    for (const name of ['2000', 'secret.mp4']) writeFileSync(join(outside, name), 'secret');
    mkdirSync(join(outside, 'sub'));
    writeFileSync(join(outside, 'sub/secret.mp4'), 'secret');
    const { pages } = await listAll({
      between: (page) => {
        if (page !== 1) return;
        for (const name of ['y', 'z']) {
          rmSync(join(root, name), { recursive: true });
          symlinkSync(outside, join(root, name));
        }
      },
    });
    const told = pages
      .slice(1)
      .flat()
      .map(({ key, size, refusal }) => [key, size, refusal?.code]);
    expect(told).toEqual([
      ['y/sub/', 0, 'SOURCE_NOT_AUTHORIZED'],
      ['z/', 0, 'SOURCE_NOT_AUTHORIZED'],
    ]);
  });

  test('a file that grows has another version', async () => {
    put('film.mp4');
    const before = (await listAll()).objects[0]?.version;
    appendFileSync(join(root, 'film.mp4'), 'more');
    expect((await listAll()).objects[0]?.version).not.toBe(before);
  });
});
