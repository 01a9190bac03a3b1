import { describe, expect, test } from 'vitest';
import { another, data, large, other, SIZE, setUp, sha256, signal } from './bench.ts';
import type { PlaceKind } from './place.ts';

/** What every place promises of a file that is opened. */
export function testFiles(kind: PlaceKind): void {
  const here = setUp(kind);

  test('files of one place have one origin', () => {
    expect(here.place.file('a.mp4').origin).toBe(here.place.file('b.mp4').origin);
  });

  test('keys of every kind lead to their own file', async () => {
    for (const key of kind.keys) await here.place.put(key, Buffer.from(`of ${key}`));
    for (const key of kind.keys) {
      const file = await here.place.file(key).open({ signal });
      expect(Buffer.from(await file.read(0, 2000, signal)).toString()).toBe(`of ${key}`);
      file.close();
      const { result } = await here.fetchFile(key);
      expect(result.sha256).toBe(sha256(Buffer.from(`of ${key}`)));
    }
  });

  describe('an open file', () => {
    test('tells its size and version, and gives any part of itself', async () => {
      await here.place.put('a.mp4', data);
      const file = await here.place.file('a.mp4').open({ signal });
      expect(file).toMatchObject({ size: SIZE, acceptsRanges: true, version: expect.any(String) });
      for (const [offset, length] of [
        [0, 10],
        [0, 65_536],
        [65_530, 12],
        [500_000, 200_000],
        [0, SIZE],
        [SIZE - 7, 7],
      ] as const) {
        const part = await file.read(offset, length, signal);
        expect(data.subarray(offset, offset + length).equals(part)).toBe(true);
      }
      file.close();
    });

    test('gives less at its end, and nothing behind it', async () => {
      await here.place.put('a.mp4', data);
      const file = await here.place.file('a.mp4').open({ signal });
      expect(data.subarray(SIZE - 7).equals(await file.read(SIZE - 7, 100, signal))).toBe(true);
      expect(await file.read(SIZE, 100, signal)).toHaveLength(0);
      expect(await file.read(SIZE + 1000, 100, signal)).toHaveLength(0);
      file.close();
    });

    test('that is small is read like any other', async () => {
      await here.place.put('a.mp4', Buffer.from('0123456789'));
      const file = await here.place.file('a.mp4').open({ signal });
      expect(file.size).toBe(10);
      expect(Buffer.from(await file.read(4, 100, signal)).toString()).toBe('456789');
      file.close();
    });

    test('never gives bytes of another version as its own', async () => {
      await here.place.put('a.mp4', data);
      const file = await here.place.file('a.mp4').open({ signal });
      await here.place.put('a.mp4', other);
      await expect(file.read(500_000, 1000, signal)).rejects.toMatchObject({
        code: 'SOURCE_CHANGED',
        retryable: true,
      });
      file.close();
    });

    test('tells its version to those who know it already, and serves those who know another', async () => {
      await here.place.put('a.mp4', data);
      const knownVersion = await here.versionOf('a.mp4');
      const known = await here.place.file('a.mp4').open({ knownVersion, signal });
      expect(known.version).toBe(knownVersion);
      known.close();
      await here.place.put('a.mp4', another);
      const changed = await here.place.file('a.mp4').open({ knownVersion, signal });
      expect(changed.version).not.toBe(knownVersion);
      expect(another.subarray(70_000, 70_010).equals(await changed.read(70_000, 10, signal))).toBe(true);
      changed.close();
    });

    test('does not go on once it is aborted', async () => {
      await here.place.put('a.mp4', data);
      const aborted = AbortSignal.abort(new Error('enough'));
      await expect(here.place.file('a.mp4').open({ signal: aborted })).rejects.toThrow('enough');
      const file = await here.place.file('a.mp4').open({ signal });
      await expect(file.read(500_000, 1000, aborted)).rejects.toThrow('enough');
      file.close();
    });
  });

  describe('a file that cannot come in', () => {
    const refusals = async (key: string, error: object) => {
      await expect(here.place.file(key).open({ signal })).rejects.toMatchObject(error);
      await expect(here.fetchFile(key)).rejects.toMatchObject(error);
    };

    test('because it is not there', () =>
      refusals('none.mp4', { code: 'SOURCE_NOT_FOUND', retryable: false }));

    test.runIf(kind.tellsEmpty)('because it is empty', async () => {
      await here.place.put('empty.mp4', new Uint8Array(0));
      await refusals('empty.mp4', { code: 'VIDEO_FILE_BROKEN', retryable: false });
    });

    test('because it is too large', async () => {
      await here.place.put('a.mp4', large);
      const maxBytes = large.length - 1;
      const error = { code: 'VIDEO_FILESIZE_TOO_LARGE', required: `${maxBytes} bytes`, retryable: false };
      await expect(here.fetchFile('a.mp4', { maxBytes })).rejects.toMatchObject(error);
      const { stored } = await here.fetchFile('a.mp4', { maxBytes: large.length });
      expect(stored.equals(large)).toBe(true);
    });
  });
}
