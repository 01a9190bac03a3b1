import { resolve, sep } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isSegment, pathOfKey } from '../../src/storage/secure-path.ts';

const ROOT = '/srv/media';

function pathOrNull(key: string): string | null {
  try {
    return pathOfKey(ROOT, key);
  } catch (error) {
    expect(error).toMatchObject({ name: 'StorageError', reason: 'INVALID_KEY' });
    return null;
  }
}

const nasty = fc.constantFrom(
  '..',
  '.',
  '',
  '/',
  '//',
  '\\',
  '\0',
  '~',
  '%2e%2e',
  '..%2f',
  'a',
  'x.part',
  '\r\n',
  '‮',
  '．．',
  'con',
);
const keys = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.array(fc.oneof(nasty, fc.string({ maxLength: 8 })), { maxLength: 8 }).map((parts) => parts.join('/')),
  fc.array(nasty, { maxLength: 8 }).map((parts) => parts.join('')),
);

test('no key whatsoever leads out of the folder, or to the folder itself', () => {
  fc.assert(
    fc.property(keys, (key) => {
      const path = pathOrNull(key);
      if (path === null) return;
      expect(path.startsWith(ROOT + sep)).toBe(true);
      expect(resolve(path)).toBe(path);
      expect(path.slice(ROOT.length + 1)).toBe(key);
    }),
    { numRuns: 20_000 },
  );
});

test('two keys never share a path, nor the path of an unfinished write', () => {
  const segment = fc.stringMatching(/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,5}$/).filter(isSegment);
  const valid = fc.array(segment, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
  fc.assert(
    fc.property(valid, valid, (one, other) => {
      fc.pre(one !== other);
      expect(pathOfKey(ROOT, one)).not.toBe(pathOfKey(ROOT, other));
      expect(pathOfKey(ROOT, one)).not.toBe(`${pathOfKey(ROOT, other)}.part`);
    }),
  );
});

test('the keys that the server makes are accepted', () => {
  const key =
    'teams/0191d2a8-7c3e-7b4e-9d6c-2f6d6a0b1c2d/tasks/0191d2a8-7c3e-7b4e-9d6c-2f6d6a0b1c2d/42/hls/video_1.m3u8';
  expect(pathOfKey(ROOT, key)).toBe(`${ROOT}/${key}`);
});

test('keys that a file system could not hold are refused', () => {
  expect(pathOrNull('a'.repeat(201))).toBeNull();
  expect(pathOrNull(`${'a/'.repeat(600)}a`)).toBeNull();
  expect(pathOrNull('a'.repeat(200))).not.toBeNull();
});
