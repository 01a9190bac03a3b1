import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  appendFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type DownloadOptions, download } from '../../src/sources/download.ts';
import { SourceError } from '../../src/sources/errors.ts';
import { createFolderSource } from '../../src/sources/folder.ts';
import { errorOfFolder } from '../../src/sources/folder-errors.ts';
import { rawOf, realPathOfHandle } from '../../src/sources/folder-path.ts';
import { waitFor as waitInTime } from '../../src/sources/folder-wait.ts';
import { createFileStorage } from '../../src/storage/file.ts';
import { waitFor } from '../support/wait.ts';

// Every system of ours has it; it is no package.
const MAKE_PIPE = 'mkfifo';
const signal = new AbortController().signal;
const data = randomBytes(1_000_003);
const other = randomBytes(1_000_003);
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

let base: string;
let root: string;
let outside: string;

beforeEach(() => {
  base = realpathSync(mkdtempSync(join(tmpdir(), 'sluice-folder-')));
  root = join(base, 'videos');
  outside = join(base, 'private');
  mkdirSync(root);
  mkdirSync(outside);
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

/** Writes a file that was last changed long ago, so that the next change has another time for sure. */
function put(path: string, content: string | Uint8Array = data): void {
  const at = join(root, path);
  writeFileSync(at, content);
  utimesSync(at, 1_000_000_000, 1_000_000_000);
}

const fileOf = (key: string, allowed = [root]) => createFolderSource({ path: root, allowed }).file(key);
const unknown = { bytes: 0, version: null, total: null };
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => null,
    (error: unknown) => (error instanceof SourceError ? error.code : error),
  );
/** What opening and asking for a key end with; both the same. */
async function refusalOf(key: string, allowed = [root]) {
  const file = fileOf(key, allowed);
  const [opened, requested] = [
    await codeOf(file.open({ signal })),
    await codeOf(file.request(unknown, signal)),
  ];
  expect(opened).toBe(requested);
  return opened;
}

describe('an open file', () => {
  test('is read by any part', async () => {
    put('film.mp4');
    const file = await fileOf('film.mp4').open({ signal });
    expect(file).toMatchObject({ size: data.length, acceptsRanges: true, contentType: null });
    for (const [offset, length] of [
      [0, 10],
      [999_000, 5000],
      [3, 700_000],
      [data.length, 5],
      [2_000_000, 1],
    ] as const) {
      expect(data.subarray(offset, offset + length).equals(await file.read(offset, length, signal))).toBe(
        true,
      );
    }
    file.close();
    file.close();
  });

  test('that is changed or cut while it is looked at is SOURCE_CHANGED', async () => {
    put('film.mp4');
    const file = await fileOf('film.mp4').open({ signal });
    appendFileSync(join(root, 'film.mp4'), 'more');
    const changed = { code: 'SOURCE_CHANGED', retryable: true };
    await expect(file.read(0, 5, signal)).rejects.toMatchObject(changed);
    truncateSync(join(root, 'film.mp4'), 100);
    await expect(file.read(50, 100, signal)).rejects.toMatchObject(changed);
    file.close();
  });
});

describe('a key', () => {
  test.each([
    '',
    '.',
    '..',
    '../private/secret',
    'a/../film.mp4',
    '/film.mp4',
    'film.mp4/',
    'a//b',
    './film.mp4',
    'sub',
    'film.mp4\0',
    'none',
    'film.mp4/x',
    'x'.repeat(300),
  ])('%j is no file of the folder', async (key) => {
    put('film.mp4');
    mkdirSync(join(root, 'sub'));
    writeFileSync(join(outside, 'secret'), 'secret');
    expect(await refusalOf(key)).toBe('SOURCE_NOT_FOUND');
  });

  test('of what is no plain file is refused, and no pipe is waited for', async () => {
    put('one');
    writeFileSync(join(outside, 'secret'), 'secret');
    linkSync(join(root, 'one'), join(root, 'two'));
    symlinkSync(join(outside, 'secret'), join(root, 'out'));
    symlinkSync(outside, join(root, 'folder'));
    execFileSync(MAKE_PIPE, [join(root, 'pipe')]);
    put('empty', '');
    expect(await refusalOf('two')).toBe('SOURCE_NOT_AUTHORIZED');
    expect(await refusalOf('out')).toBe('SOURCE_NOT_AUTHORIZED');
    expect(await refusalOf('folder/secret')).toBe('SOURCE_NOT_AUTHORIZED');
    expect(await refusalOf('pipe')).toBe('UNSUPPORTED_MEDIA_TYPE');
    expect(await refusalOf('empty')).toBe('VIDEO_FILE_BROKEN');
  });

  test('of a link to a file below is that file', async () => {
    put('film.mp4');
    symlinkSync(join(root, 'film.mp4'), join(root, 'link'));
    const { body } = await fileOf('link').request(unknown, signal);
    expect(data.equals(await buffer(body))).toBe(true);
  });

  test('is no way out once the folder is a link, or is not allowed any more', async () => {
    put('film.mp4');
    expect(await refusalOf('film.mp4', [])).toBe('SOURCE_NOT_AUTHORIZED');
    expect(await refusalOf('film.mp4', [outside])).toBe('SOURCE_NOT_AUTHORIZED');
    renameSync(root, join(outside, 'moved'));
    symlinkSync(join(outside, 'moved'), root);
    expect(await refusalOf('film.mp4', [join(base, 'videos-2'), join(base, 'none')])).toBe(
      'SOURCE_NOT_AUTHORIZED',
    );
  });
});

describe('a file that is swapped', () => {
  test('for a link after the listing is not read', async () => {
    put('film.mp4');
    writeFileSync(join(outside, 'film.mp4'), 'secret');
    const source = createFolderSource({ path: root, allowed: [root] });
    const { objects } = await source.list({ prefix: null, position: null, signal });
    rmSync(join(root, 'film.mp4'));
    symlinkSync(join(outside, 'film.mp4'), join(root, 'film.mp4'));
    expect(await codeOf(source.file(objects[0]?.key ?? '').request(unknown, signal))).toBe(
      'SOURCE_NOT_AUTHORIZED',
    );
  });

  test('after it was opened is read as it was', async () => {
    put('film.mp4');
    const { body } = await fileOf('film.mp4').request(unknown, signal);
    writeFileSync(join(outside, 'film.mp4'), 'secret');
    renameSync(join(root, 'film.mp4'), join(root, 'moved'));
    symlinkSync(join(outside, 'film.mp4'), join(root, 'film.mp4'));
    expect(data.equals(await buffer(body))).toBe(true);
  });

  test('all the time, in every way, never gives what lies outside', async () => {
    mkdirSync(join(root, 'real'));
    put('real/film.mp4', 'mine');
    mkdirSync(join(root, 'd'));
    writeFileSync(join(outside, 'film.mp4'), 'secret');
    linkSync(join(outside, 'film.mp4'), join(outside, 'second'));
    const swapper = new Worker(SWAPPER, { eval: true, workerData: { root, outside } });
    const seen = new Set<string>();
    try {
      await new Promise((resolve) => swapper.once('message', resolve));
      const isDone = () => seen.size >= 3 && seen.has('mine');
      for (let turn = 0; turn < 600 || (turn < 20_000 && !isDone()); turn++) {
        for (const key of ['film.mp4', 'd/film.mp4', 'often.mp4']) {
          try {
            const { body } = await fileOf(key).request(unknown, signal);
            seen.add((await buffer(body)).toString());
          } catch (error) {
            seen.add(error instanceof SourceError ? error.code : String(error));
          }
        }
      }
    } finally {
      await swapper.terminate();
    }
    // The last two while the file is being copied to its place.
    const refusals = ['SOURCE_NOT_FOUND', 'SOURCE_NOT_AUTHORIZED', 'UNSUPPORTED_MEDIA_TYPE'];
    const harmless = ['mine', ...refusals, 'VIDEO_FILE_BROKEN', 'SOURCE_CHANGED'];
    expect([...seen].filter((outcome) => !harmless.includes(outcome))).toEqual([]);
    expect(seen).toContain('mine');
    expect(seen.size).toBeGreaterThanOrEqual(3);
  });
});

/** Puts one thing after the other at `film.mp4` and at the folder `d`, as fast as it can. */
const SWAPPER = `
  const { parentPort, workerData: { root, outside } } = require('node:worker_threads');
  const fs = require('node:fs');
  const { execFileSync } = require('node:child_process');
  execFileSync('mkfifo', [root + '/pipe']);
  parentPort.postMessage('ready');
  const place = (make) => {
    make(root + '/next');
    fs.renameSync(root + '/next', root + '/film.mp4');
  };
  const swapFolder = (make) => {
    fs.rmSync(root + '/d', { recursive: true, force: true });
    make(root + '/d');
  };
  const placeOften = (make) => {
    make(root + '/next');
    fs.renameSync(root + '/next', root + '/often.mp4');
  };
  for (;;) {
    for (let turn = 0; turn < 20; turn++) {
      placeOften((at) => fs.copyFileSync(root + '/real/film.mp4', at));
      placeOften((at) => fs.linkSync(outside + '/film.mp4', at));
    }
    place((at) => fs.copyFileSync(root + '/real/film.mp4', at));
    swapFolder((at) => fs.symlinkSync(root + '/real', at));
    place((at) => fs.symlinkSync(outside + '/film.mp4', at));
    swapFolder((at) => fs.symlinkSync(outside, at));
    place((at) => fs.linkSync(outside + '/film.mp4', at));
    place((at) => { fs.linkSync(root + '/pipe', at); });
    swapFolder((at) => { fs.mkdirSync(at); fs.copyFileSync(root + '/real/film.mp4', at + '/film.mp4'); });
  }
`;

describe('a download', () => {
  async function fetch(
    key: string,
    options: Partial<DownloadOptions> & { readonly earlier?: Uint8Array } = {},
  ) {
    const storage = createFileStorage({ root: join(base, 'storage') });
    const writer = await storage.create('tasks/1/original');
    if (options.earlier) await writer.write(options.earlier);
    const versions: (string | null)[] = [];
    const onVersion = (version: string | null) => versions.push(version);
    try {
      const result = await download(fileOf(key), { maxBytes: 1e9, signal, onVersion, ...options, writer });
      await writer.commit();
      return { result, versions, stored: await buffer(await storage.read('tasks/1/original')) };
    } catch (error) {
      await writer.discard();
      return { error, versions };
    }
  }
  const versionNow = (key: string) => {
    const { mtimeNs, size } = statSync(join(root, key), { bigint: true });
    return `${mtimeNs};${size}`;
  };

  test('brings the file and its version', async () => {
    put('film.mp4');
    const { result, stored } = await fetch('film.mp4');
    expect(result).toEqual({ bytes: data.length, sha256: sha256(data), version: versionNow('film.mp4') });
    expect(stored?.equals(data)).toBe(true);
  });

  test.each([1, 500_000, data.length])('goes on at byte %d of the same version', async (bytes) => {
    put('film.mp4');
    const earlier = data.subarray(0, bytes);
    const hash = createHash('sha256').update(earlier);
    const { result, stored } = await fetch('film.mp4', {
      earlier,
      from: { bytes, version: versionNow('film.mp4'), hash },
    });
    expect(result?.sha256).toBe(sha256(data));
    expect(stored?.equals(data)).toBe(true);
  });

  test('of another version than the one that was begun, or seen, begins anew', async () => {
    put('film.mp4');
    const earlier = other.subarray(0, 1000);
    const from = { bytes: 1000, version: '5;1000003', hash: createHash('sha256').update(earlier) };
    expect((await fetch('film.mp4', { earlier, from })).stored?.equals(data)).toBe(true);
    const { stored, versions } = await fetch('film.mp4', { expectedVersion: '5;1000003' });
    expect(stored?.equals(data)).toBe(true);
    expect(versions).toEqual([versionNow('film.mp4')]);
  });

  const changes: readonly [string, (path: string) => void, () => Uint8Array][] = [
    ['grows', (path) => appendFileSync(path, other), () => Buffer.concat([data, other])],
    ['shrinks', (path) => truncateSync(path, 300_000), () => data.subarray(0, 300_000)],
    ['is written over', (path) => writeFileSync(path, other, { flag: 'r+' }), () => other],
  ];

  test.each(changes)('of a file that %s meanwhile begins anew once', async (_how, change, expected) => {
    put('film.mp4');
    let isChanged = false;
    const { result, stored, versions } = await fetch('film.mp4', {
      onProgress: () => {
        if (!isChanged) change(join(root, 'film.mp4'));
        isChanged = true;
      },
    });
    expect(result).toEqual({
      bytes: expected().length,
      sha256: sha256(expected()),
      version: versionNow('film.mp4'),
    });
    expect(stored?.equals(expected())).toBe(true);
    expect(versions).toHaveLength(2);
  });

  test('of a file that is changed again and again is SOURCE_CHANGED', async () => {
    put('film.mp4');
    let at = 2_000_000_000;
    const onProgress = () => utimesSync(join(root, 'film.mp4'), at, at++);
    const { error, versions } = await fetch('film.mp4', { onProgress });
    expect(error).toMatchObject({ code: 'SOURCE_CHANGED', retryable: false });
    expect(versions).toHaveLength(2);
  });

  test('ends with the reason of an abort', async () => {
    put('film.mp4');
    const controller = new AbortController();
    const reason = new Error('lease lost');
    const { error } = await fetch('film.mp4', {
      signal: controller.signal,
      onProgress: () => controller.abort(reason),
    });
    expect(error).toBe(reason);
  });

  test('needs no memory for the file', async () => {
    put('film.mp4', 'x');
    truncateSync(join(root, 'film.mp4'), 512 * 1024 ** 2);
    const { body } = await fileOf('film.mp4').request(unknown, signal);
    const before = process.memoryUsage.rss();
    let most = before;
    let bytes = 0;
    for await (const chunk of body) {
      bytes += chunk.length;
      if (bytes % (16 * 1024 ** 2) === 0) most = Math.max(most, process.memoryUsage.rss());
    }
    expect(bytes).toBe(512 * 1024 ** 2);
    expect(most - before).toBeLessThan(200 * 1024 ** 2);
  });
});

test.runIf(process.platform === 'linux')('no handle stays open, however it ends', async () => {
  put('film.mp4');
  put('empty', '');
  const openHere = () =>
    readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return realpathSync(`/proc/self/fd/${fd}`).startsWith(base);
      } catch {
        return false;
      }
    }).length;
  const file = fileOf('film.mp4');
  const version = `1000000000000000000;${data.length}`;
  const controller = new AbortController();

  const unread = await file.request(unknown, controller.signal);
  const halfRead = await file.request(unknown, controller.signal);
  for await (const chunk of halfRead.body) if (chunk.length > 0) break;
  const pending = await file.request(unknown, controller.signal);
  const reading = pending.body[Symbol.asyncIterator]().next();
  pending.discard();
  await reading.catch(() => {});
  const complete = await file.request({ bytes: data.length, version, total: null }, signal);
  expect(complete.answer).toEqual({ kind: 'COMPLETE' });
  const changed = await file.request({ bytes: 5, version: '1;2', total: null }, signal);
  expect(changed.answer).toEqual({ kind: 'CHANGED' });
  await codeOf(fileOf('empty').open({ signal }));
  const looked = await file.open({ signal });
  expect(openHere()).toBeGreaterThanOrEqual(2);
  looked.close();
  unread.discard();
  unread.discard();

  const late = file.request(unknown, controller.signal);
  controller.abort(new Error('stop'));
  await late.then(
    ({ discard }) => discard(),
    (error: unknown) => expect(String(error)).toContain('stop'),
  );
  await waitFor(() => openHere() === 0, { what: 'the end of all handles' });
});

describe('on systems that do not tell where an open file lies', () => {
  test('it is found by its path, if that still leads to it', async () => {
    put('film.mp4');
    const path = rawOf(join(root, 'film.mp4'));
    const handle = await open(join(root, 'film.mp4'));
    expect(await realPathOfHandle(handle, path, false)).toBe(path);
    renameSync(join(root, 'film.mp4'), join(root, 'moved'));
    put('film.mp4');
    expect(await realPathOfHandle(handle, path, false)).toBeNull();
    await handle.close();
  });
});

test.each([
  ['EIO', 'SOURCE_UNAVAILABLE', true],
  ['ESTALE', 'SOURCE_UNAVAILABLE', true],
  ['ETIMEDOUT', 'SOURCE_UNAVAILABLE', true],
  ['EACCES', 'SOURCE_NOT_AUTHORIZED', false],
  ['ENOENT', 'SOURCE_NOT_FOUND', false],
])('%s is %s', (code, expected, retryable) => {
  const error = errorOfFolder(Object.assign(new Error(`${code}: '/secret/path'`), { code }), 'file');
  expect(error).toMatchObject({ code: expected, retryable });
  expect(String(error)).not.toContain('/secret');
});

describe('a share that does not answer', () => {
  const never = new Promise<never>(() => {});

  test('is left alone after a while, or at an abort', async () => {
    await expect(waitInTime(never, { signal, timeoutMs: 10 })).rejects.toMatchObject({
      code: 'SOURCE_UNAVAILABLE',
      retryable: true,
    });
    const controller = new AbortController();
    const waiting = waitInTime(never, { signal: controller.signal });
    const reason = new Error('stop');
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await expect(waitInTime(never, { signal: controller.signal })).rejects.toBe(reason);
  });

  test('and then does after all has its answer undone', async () => {
    const late = deferred<string>();
    const undone: string[] = [];
    const options = { signal, timeoutMs: 10, undo: (value: string) => undone.push(value) };
    await expect(waitInTime(late.promise, options)).rejects.toThrow('The folder');
    late.resolve('handle');
    await waitFor(() => undone.length > 0);
    expect(undone).toEqual(['handle']);
    expect(await waitInTime(Promise.resolve('in time'), options)).toBe('in time');
    expect(undone).toEqual(['handle']);
  });

  function deferred<T>() {
    let resolve: (value: T) => void = () => {};
    const promise = new Promise<T>((done) => {
      resolve = done;
    });
    return { promise, resolve };
  }
});
