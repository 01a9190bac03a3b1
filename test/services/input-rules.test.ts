import fc from 'fast-check';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { InvalidInputError } from '../../src/services/errors.ts';
import { metadata, parseInput, sha256, text } from '../../src/services/input-rules.ts';
import { hashInput, parseStartImport } from '../../src/services/start-import-input.ts';

/** The codes and paths of what is wrong; none when nothing is. */
function issuesOf(schema: z.ZodType, value: unknown): string[] {
  try {
    parseInput(schema, 'input', value);
    return [];
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    return error.issues.map(({ path, code }) => `${path.join('.')} ${code}`);
  }
}

test('a text passes exactly when PostgreSQL stores it and its characters are as many as allowed', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 12 }), (value) => {
      const fits =
        value.isWellFormed() && !value.includes('\0') && [...value].length >= 1 && [...value].length <= 5;
      expect(issuesOf(text(1, 5), value).length === 0).toBe(fits);
    }),
    { numRuns: 1_000 },
  );
});

test('characters are counted, not UTF-16 units', () => {
  expect(issuesOf(text(2, 3), '😀')).toEqual(['input TOO_SHORT']);
  expect(issuesOf(text(2, 3), '😀😀')).toEqual([]);
  expect(issuesOf(text(2, 3), '😀😀😀')).toEqual([]);
  expect(issuesOf(text(2, 3), '😀😀😀😀')).toEqual(['input TOO_LONG']);
});

test('what is not given, or is of another type, is told apart', () => {
  const schema = z.object({ a: text(1, 5), b: z.object({ c: z.array(text(0, 2)) }) });
  expect(issuesOf(schema, { b: { c: ['', 'xyz', 5] } })).toEqual([
    'input.a REQUIRED',
    'input.b.c.1 TOO_LONG',
    'input.b.c.2 INVALID',
  ]);
});

test('a SHA-256 is 64 hexadecimal digits, and comes out in lower case', () => {
  expect(parseInput(sha256, 'input', 'AbC0'.repeat(16))).toBe('abc0'.repeat(16));
  for (const wrong of ['', 'a'.repeat(63), 'a'.repeat(65), `${'a'.repeat(63)}g`, `${'a'.repeat(64)}\n`])
    expect(issuesOf(sha256, wrong)).toEqual(['input INVALID']);
});

test('metadata is measured in bytes of JSON', () => {
  const ofBytes = (count: number) => ({ t: 'é'.repeat((count - '{"t":""}'.length) / 2) });
  expect(issuesOf(metadata, ofBytes(16_384))).toEqual([]);
  expect(issuesOf(metadata, ofBytes(16_386))).toEqual(['input TOO_LONG']);
});

test('every fault of metadata is named, up to the hundredth of all', () => {
  expect(issuesOf(metadata, { length: 1, '': 2, ['k'.repeat(256)]: 3, fine: 'x\0' })).toEqual([
    'input.length RESERVED_KEY',
    'input. TOO_SHORT',
    `input.${'k'.repeat(256)} TOO_LONG`,
    'input.fine INVALID',
  ]);
  expect(
    issuesOf(
      z.array(text(1, 1)),
      Array.from({ length: 300 }, () => ''),
    ),
  ).toHaveLength(100);
});

test('the message of an error names the first fault and how many more there are', () => {
  const parse = () => parseInput(z.array(text(1, 1)), 'input', ['', '', 'a']);
  expect(parse).toThrow('input.0: must not be empty (and 1 more)');
});

const given = (changes: object = {}) => ({
  from: {
    videos: {
      systemName: 'dam',
      videos: [{ externalId: 'a', url: 'https://example.com/a.mp4', fileName: 'a.mp4' }],
    },
  },
  incremental: true,
  retryFailed: false,
  fullIngestion: false,
  enableVideoStream: false,
  ...changes,
});
const hash = (input: object) => hashInput(parseStartImport(input));

test('inputs that mean the same have one hash, and others have others', () => {
  const [a, b] = [
    given({ metadata: { x: 1, y: { toString: 1 }.toString } }),
    given({ metadata: { y: { toString: 1 }.toString, x: 1 }, indexId: null, idempotencyKey: 'any' }),
  ];
  expect(hash(a)).toBe(hash(b));
  const others = [
    given(),
    given({ incremental: false }),
    given({ retryFailed: true }),
    given({ metadata: { x: 1 } }),
    given({ metadata: { x: '1' } }),
    given({ metadata: { x: 1.5 } }),
    given({ indexId: 'x' }),
    given({ teamId: 'x' }),
  ];
  expect(new Set(others.map(hash)).size).toBe(others.length);
});
