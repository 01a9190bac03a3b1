import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { waitFor } from '../../support/wait.ts';
import { another, data, large, other, SIZE, setUp, sha256 } from './bench.ts';
import type { PlaceKind } from './place.ts';

/** What every place promises of a download. */
export function testDownloads(kind: PlaceKind): void {
  const here = setUp(kind);

  describe('a download', () => {
    test('brings all bytes, their hash, and the version that opening told', async () => {
      await here.place.put('a.mp4', data);
      const version = await here.versionOf('a.mp4');
      const { result, versions, stored } = await here.fetchFile('a.mp4', { expectedVersion: version });
      expect(result).toEqual({ bytes: SIZE, sha256: sha256(data), version });
      expect(stored.equals(data)).toBe(true);
      expect(versions).toEqual([version]);
    });

    const partOf = (bytes: Buffer, length: number, version: string) => {
      const earlier = bytes.subarray(0, length);
      return { earlier, from: { bytes: length, version, hash: createHash('sha256').update(earlier) } };
    };

    test.each([1, 400_000, SIZE - 1, SIZE])('goes on behind byte %d of the same version', async (length) => {
      await here.place.put('a.mp4', data);
      const version = await here.versionOf('a.mp4');
      const { result, received, stored } = await here.fetchFile('a.mp4', partOf(data, length, version));
      expect(result).toEqual({ bytes: SIZE, sha256: sha256(data), version });
      expect(stored.equals(data)).toBe(true);
      expect(received).toBe(SIZE - length);
    });

    test('begins anew when what it would go on with was replaced', async () => {
      await here.place.put('a.mp4', data);
      const part = partOf(data, 400_000, await here.versionOf('a.mp4'));
      await here.place.put('a.mp4', other);
      const { result, stored } = await here.fetchFile('a.mp4', part);
      expect(result).toEqual({ bytes: SIZE, sha256: sha256(other), version: await here.versionOf('a.mp4') });
      expect(stored.equals(other)).toBe(true);
    });

    test('takes the file as it is when it was replaced before the first byte', async () => {
      await here.place.put('a.mp4', data);
      const expectedVersion = await here.versionOf('a.mp4');
      await here.place.put('a.mp4', another);
      const { result, stored } = await here.fetchFile('a.mp4', { expectedVersion });
      expect(result).toEqual({
        bytes: SIZE - 1,
        sha256: sha256(another),
        version: await here.versionOf('a.mp4'),
      });
      expect(stored.equals(another)).toBe(true);
    });

    test.runIf(kind.canBreak)('begins anew when the file is replaced in the middle', async () => {
      await here.place.put('a.mp4', data);
      here.place.cutAfter(300_000);
      const { result, stored } = await here.fetchFile('a.mp4', {
        async onChunk(index) {
          if (index > 0) return;
          here.place.cutAfter(null);
          await here.place.put('a.mp4', other);
        },
      });
      expect(result).toEqual({
        bytes: SIZE,
        sha256: sha256(other),
        version: await here.versionOf('a.mp4'),
      });
      expect(stored.equals(other)).toBe(true);
    });

    test.runIf(kind.canBreak)('gives up when the file is replaced twice', async () => {
      await here.place.put('a.mp4', data);
      let replaced = 0;
      let isNew = false;
      here.place.cutAfter(300_000);
      const asked = here.fetchFile('a.mp4', {
        onVersion() {
          isNew = true;
        },
        async onChunk() {
          if (!isNew) return;
          isNew = false;
          await here.place.put('a.mp4', ++replaced === 1 ? other : another);
        },
      });
      await expect(asked).rejects.toMatchObject({ code: 'SOURCE_CHANGED', retryable: false });
      expect(replaced).toBe(2);
    });

    test.runIf(kind.canBreak && kind.judgesFirst)(
      'counts one before the first byte as the first',
      async () => {
        await here.place.put('a.mp4', data);
        const expectedVersion = await here.versionOf('a.mp4');
        await here.place.put('a.mp4', other);
        here.place.cutAfter(300_000);
        const asked = here.fetchFile('a.mp4', {
          expectedVersion,
          onChunk: (index) => (index === 0 ? here.place.put('a.mp4', another) : undefined),
        });
        await expect(asked).rejects.toMatchObject({ code: 'SOURCE_CHANGED', retryable: false });
      },
    );

    test('ends with the reason of its abort, and lets go', async () => {
      await here.place.put('a.mp4', large);
      const aborting = new AbortController();
      const asked = here.fetchFile('a.mp4', {
        maxBytes: large.length,
        signal: aborting.signal,
        onChunk: (index) => (index === 1 ? aborting.abort(new Error('enough')) : undefined),
      });
      await expect(asked).rejects.toThrow('enough');
      await waitFor(() => here.place.isIdle());
    });
  });
}
