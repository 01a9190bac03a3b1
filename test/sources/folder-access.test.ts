import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;

let base: string;
let root: string;

beforeEach(() => {
  base = realpathSync(mkdtempSync(join(tmpdir(), 'sluice-folder-')));
  root = join(base, 'videos');
  chmodSync(base, 0o755);
  mkdirSync(root);
});
afterEach(() => {
  for (const name of readdirSync(root)) chmodSync(join(root, name), 0o700);
  rmSync(base, { recursive: true, force: true });
});

/** What code with `source` and `signal` prints, run by a user for whom permissions count: they do not for root. */
function runUnprivileged(code: string): unknown {
  const app = join(base, 'app');
  cpSync(fileURLToPath(new URL('../../dist/sources', import.meta.url)), app, { recursive: true });
  writeFileSync(join(base, 'package.json'), '{"type":"module"}');
  const script = `
    import { createFolderSource } from './app/folder.js';
    const source = createFolderSource({ path: ${JSON.stringify(root)}, allowed: ['/'] });
    const signal = new AbortController().signal;
    const codeOf = (promise) => promise.then(() => null, (error) => error.code);
    ${code}`;
  writeFileSync(join(base, 'script.js'), script);
  const user = isRoot ? { uid: NOBODY, gid: NOBODY } : {};
  const { stdout, stderr } = spawnSync(process.execPath, [join(base, 'script.js')], {
    ...user,
    encoding: 'utf8',
  });
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout);
}

const LIST = `
  const objects = [];
  let position = null;
  do {
    const page = await source.list({ prefix: null, position, signal });
    objects.push(...page.objects);
    position = page.next;
  } while (position !== null);
  console.log(JSON.stringify(objects.map(({ key, refusal }) => [key, refusal?.code, refusal?.message])));`;

test('a folder that may not be read is told of, and the others are listed', () => {
  for (const name of ['a', 'closed', 'z', 'names-only']) {
    mkdirSync(join(root, name));
    writeFileSync(join(root, name, 'film.mp4'), 'film');
  }
  chmodSync(join(root, 'closed'), 0o000);
  chmodSync(join(root, 'names-only'), 0o744);
  if (!isRoot) chmodSync(join(root, 'names-only'), 0o400);
  const refused = ['SOURCE_NOT_AUTHORIZED', expect.stringContaining('let the user that it runs as read it')];
  expect(runUnprivileged(LIST)).toEqual([
    ['a/film.mp4', null, null],
    ['closed/', ...refused],
    ['names-only/film.mp4', ...refused],
    ['z/film.mp4', null, null],
  ]);
});

test('a file that may not be read is listed, and refused when it is opened', () => {
  writeFileSync(join(root, 'film.mp4'), 'film', { mode: 0o000 });
  expect(runUnprivileged(LIST)).toEqual([['film.mp4', null, null]]);
  const open = `console.log(JSON.stringify(await codeOf(source.file('film.mp4').open({ signal }))));`;
  expect(runUnprivileged(open)).toBe('SOURCE_NOT_AUTHORIZED');
});

test('a folder that may not be read itself cannot be set up, or listed', () => {
  chmodSync(root, 0o000);
  const both = `console.log(JSON.stringify([
    await codeOf(source.check(signal)),
    await codeOf(source.list({ prefix: null, position: null, signal })),
  ]));`;
  expect(runUnprivileged(both)).toEqual(['SOURCE_NOT_AUTHORIZED', 'SOURCE_NOT_AUTHORIZED']);
  chmodSync(root, 0o755);
});
