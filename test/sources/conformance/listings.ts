import { describe, expect, test } from 'vitest';
import type { ListedObject, ObjectSource } from '../../../src/sources/source.ts';
import { data, other, SIZE, setUp, signal } from './bench.ts';
import type { Listing, PlaceKind } from './place.ts';

/** What every place promises that can be listed. */
export function testListings(kind: PlaceKind): void {
  const here = setUp(kind);

  describe.runIf(kind.lists)('its listing', () => {
    function listing(): Listing {
      if (here.place.listing === null) throw new Error('this place has no listing');
      return here.place.listing;
    }

    /** All objects, each page asked of a new source. */
    async function listAll(prefix: string | null = null, source: () => ObjectSource = listing().source) {
      const pages: (readonly ListedObject[])[] = [];
      let position: string | null = null;
      do {
        const page = await source().list({ prefix, position, signal });
        pages.push(page.objects);
        position = page.next;
      } while (position !== null);
      return { pages, objects: pages.flat(), keys: pages.flat().map(({ key }) => key) };
    }

    test('is there, or is said not to be', async () => {
      await listing().source().check(signal);
      const missing = listing().missing();
      await expect(missing.check(signal)).rejects.toMatchObject({ code: 'SOURCE_NOT_FOUND' });
      const list = missing.list({ prefix: null, position: null, signal });
      await expect(list).rejects.toMatchObject({ code: 'SOURCE_NOT_FOUND' });
    });

    test('of an empty place is one page without objects', async () => {
      expect(await listing().source().list({ prefix: null, position: null, signal })).toEqual({
        objects: [],
        next: null,
      });
    });

    test('tells sizes, and the versions that opening and downloading tell', async () => {
      await here.place.put('a.mp4', data);
      await here.place.put('folder/b.mp4', Buffer.from('0123456789'));
      const { objects } = await listAll();
      expect(objects).toEqual([
        { key: 'a.mp4', size: SIZE, version: await here.versionOf('a.mp4') },
        { key: 'folder/b.mp4', size: 10, version: await here.versionOf('folder/b.mp4') },
      ]);
      for (const { key, version } of objects)
        expect((await here.fetchFile(key)).result.version).toBe(version);
    });

    test('tells another version once the file is another', async () => {
      await here.place.put('a.mp4', data);
      const before = (await listAll()).objects[0]?.version;
      await here.place.put('a.mp4', other);
      const after = (await listAll()).objects[0]?.version;
      expect(after).not.toBe(before);
      expect(after).toBe(await here.versionOf('a.mp4'));
    });

    test('names keys of every kind so that their files are found', async () => {
      for (const key of kind.keys) await here.place.put(key, Buffer.from(`of ${key}`));
      const { objects } = await listAll();
      expect(objects.map(({ key }) => key).toSorted()).toEqual(kind.keys.toSorted());
      for (const { key, version } of objects) {
        const file = await listing().source().file(key).open({ signal });
        expect(file.version).toBe(version);
        expect(Buffer.from(await file.read(0, 2000, signal)).toString()).toBe(`of ${key}`);
        file.close();
      }
    });

    test('holds what begins with the prefix, whatever it is made of', async () => {
      const all = [
        'a b/1.mp4',
        'a b/2.mp4',
        'a b2.mp4',
        'a%20b/3.mp4',
        'a+b/4.mp4',
        'b/a b/5.mp4',
        'ä/6.mp4',
      ];
      for (const key of all) await here.place.put(key, Buffer.from(key));
      for (const prefix of [
        'a b/',
        'a b',
        'a',
        'a+',
        'a%',
        'a%20',
        'ä',
        'b/a',
        'a b/1.mp4',
        '',
        'none',
        'A',
      ]) {
        const { keys: found } = await listAll(prefix);
        expect(found.toSorted()).toEqual(all.filter((key) => key.startsWith(prefix)).toSorted());
      }
    });

    test.runIf(kind.pages)(
      'goes on in a new source where the page before ended, with each object once',
      async () => {
        const many = Array.from({ length: 2100 }, (_, index) => `${index % 7}/${index}.mp4`);
        for (let index = 0; index < many.length; index += 100) {
          const some = many.slice(index, index + 100);
          await Promise.all(some.map((key) => here.place.put(key, Buffer.from(key))));
        }
        const { pages, keys: found } = await listAll();
        expect(found.toSorted()).toEqual(many.toSorted());
        expect(pages.length).toBeGreaterThan(2);
        for (const page of pages) expect(page.length).toBeLessThanOrEqual(1000);
      },
    );

    test('ends with the reason of its abort', async () => {
      const aborted = AbortSignal.abort(new Error('enough'));
      const source = listing().source();
      await expect(source.list({ prefix: null, position: null, signal: aborted })).rejects.toThrow('enough');
      await expect(source.check(aborted)).rejects.toThrow('enough');
    });

    test('tells one place from another', () => {
      const { source, missing } = listing();
      expect(source().place).toBe(source().place);
      expect(source().place).not.toBe(missing().place);
      expect(source().file('a').origin).toBe(source().file('b').origin);
    });
  });
}
