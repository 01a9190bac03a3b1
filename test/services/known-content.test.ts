import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hashUrl } from '../../src/services/entry.ts';
import { differs, mergeMetadata } from '../../src/services/known-content.ts';

const video = { name: 'Name', description: 'Text', metadata: { a: 1, b: 'two' } };
const nothing = { name: null, description: null, metadata: null };

describe('a video in place', () => {
  test.each([
    ['nothing', nothing],
    ['the same', { name: 'Name', description: 'Text', metadata: { b: 'two', a: 1 } }],
    ['only its name', { ...nothing, name: 'Name' }],
  ])('says nothing else when it is given %s', (_, given) => {
    expect(differs(video, given)).toBe(false);
  });

  test.each([
    ['another name', { ...nothing, name: 'name' }],
    ['another description', { ...nothing, description: '' }],
    ['a key less', { ...nothing, metadata: { a: 1 } }],
    ['a key more', { ...nothing, metadata: { a: 1, b: 'two', c: true } }],
    ['another key', { ...nothing, metadata: { a: 1, c: 'two' } }],
    ['a text for a number', { ...nothing, metadata: { a: '1', b: 'two' } }],
    ['no keys at all', { ...nothing, metadata: {} }],
    ['a key that every object has', { ...nothing, metadata: { a: 1, toString: 'two' } }],
  ])('says otherwise when it is given %s', (_, given) => {
    expect(differs(video, given)).toBe(true);
  });

  test('that has no metadata says otherwise as soon as any are given', () => {
    const bare = { name: 'Name', description: null, metadata: null };
    expect(differs(bare, { ...nothing, metadata: {} })).toBe(true);
    expect(differs(bare, { ...nothing, description: '' })).toBe(true);
    expect(differs(bare, nothing)).toBe(false);
  });
});

describe('the metadata of an import and of a video', () => {
  test('are none when neither gives any', () => {
    expect(mergeMetadata(null, null)).toBeNull();
    expect(mergeMetadata({}, null)).toEqual({});
  });

  test("are merged key by key, the video's own first", () => {
    const values = fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.integer(), fc.boolean()));
    fc.assert(
      fc.property(values, values, (ofImport, own) => {
        const merged = new Map(Object.entries(mergeMetadata(ofImport, own) ?? {}));
        expect(merged).toEqual(new Map([...Object.entries(ofImport), ...Object.entries(own)]));
      }),
    );
  });
});

test('a URL is kept as a hash alone', () => {
  expect(hashUrl('https://example.com/a.mp4?token=secret')).toMatch(/^[0-9a-f]{64}$/);
  expect(hashUrl('https://example.com/a.mp4?token=a')).not.toBe(hashUrl('https://example.com/a.mp4?token=b'));
});
