import { readdir, readFile } from 'node:fs/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { ListedObject } from '../../src/sources/source.ts';
import { startS3rver } from '../support/s3rver.ts';
import { startOrigin } from './origin.ts';
import { BUCKET, createS3Bench, listAll, signal } from './s3-source.ts';

const bench = createS3Bench();

afterEach(() => bench.close());

const keysOf = (objects: readonly ListedObject[]) => objects.map(({ key }) => key);
const page = (
  source: ReturnType<typeof bench.source>,
  position: string | null,
  prefix: string | null = null,
) => source.list({ prefix, position, signal });
const numbered = (index: number) => `films/${String(index).padStart(6, '0')}.mp4`;

describe('pages', () => {
  test('come with all objects, resumed by another process at every boundary', async () => {
    const store = await bench.store();
    store.fill(BUCKET, 2345, (index) => ({ key: numbered(index), size: index }));
    const seen: ListedObject[] = [];
    let position: string | null = null;
    do {
      const { objects, next } = await page(bench.source(store), position);
      expect(objects.length).toBeLessThanOrEqual(1000);
      seen.push(...objects);
      position = next;
    } while (position !== null);
    expect(keysOf(seen)).toEqual(Array.from({ length: 2345 }, (_, index) => numbered(index)));
    expect(seen[17]?.size).toBe(17);
    expect(store.requests.map(({ query }) => query.get('max-keys'))).toEqual(['1000', '1000', '1000']);
  });

  test('go on behind the last key when the token has expired', async () => {
    const store = await bench.store();
    store.fill(BUCKET, 2500, (index) => ({ key: numbered(index), size: 1 }));
    const first = await page(bench.source(store), null);
    store.quirks.refuseContinuation = true;
    const rest: ListedObject[] = [];
    let position = first.next;
    while (position !== null) {
      const { objects, next } = await page(bench.source(store), position);
      rest.push(...objects);
      position = next;
    }
    expect(keysOf([...first.objects, ...rest])).toEqual(
      Array.from({ length: 2500 }, (_, index) => numbered(index)),
    );
  });

  test('of a bucket that was emptied meanwhile end', async () => {
    const store = await bench.store();
    store.maxKeys = 1;
    store.put(BUCKET, 'a', '1');
    store.put(BUCKET, 'b', '1');
    const { next } = await page(bench.source(store), null);
    store.remove(BUCKET, 'a');
    store.remove(BUCKET, 'b');
    await expect(page(bench.source(store), next)).resolves.toEqual({ objects: [], next: null });
  });

  test.each([{ ignoreContinuation: true }, { ignoreContinuation: true, refuseContinuation: true }])(
    'that come again end in an error: %o',
    async (quirks) => {
      const store = await bench.store();
      store.maxKeys = 10;
      store.fill(BUCKET, 50, (index) => ({ key: numbered(index), size: 1 }));
      Object.assign(store.quirks, quirks, { refuseContinuation: false });
      const listing = listAll(bench.source(store));
      await expect(listing).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: false });
      expect(store.requests).toHaveLength(2);
    },
  );

  test.each([
    ['the same token', () => 'same', 2],
    ['no token', () => null, 1],
    ['ever new tokens', (index: number) => `token-${index}`, 101],
  ])('that are empty and promise more with %s do not go on for ever', async (_name, tokenAt, requests) => {
    const origin = await startOrigin((_request, response, index) => {
      const token = tokenAt(index);
      const more = token === null ? '' : `<NextContinuationToken>${token}</NextContinuationToken>`;
      response.end(`<ListBucketResult><IsTruncated>true</IsTruncated>${more}</ListBucketResult>`);
    });
    bench.later(() => origin.close());
    const source = bench.source({ endpoint: origin.url.origin, accessKeyId: 'x', secretAccessKey: 'y' });
    await expect(listAll(source)).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: false });
    expect(origin.requests).toHaveLength(requests);
  });

  test('of 100,000 objects are held one at a time', async () => {
    const store = await bench.store();
    store.fill(BUCKET, 100_000, (index) => ({ key: numbered(index), size: 1 }));
    const source = bench.source(store);
    let position: string | null = null;
    let count = 0;
    let last = '';
    let longest = 0;
    do {
      const { objects, next }: { objects: readonly ListedObject[]; next: string | null } = await page(
        source,
        position,
      );
      for (const { key } of objects) {
        expect(key > last).toBe(true);
        last = key;
      }
      count += objects.length;
      longest = Math.max(longest, objects.length, next?.length ?? 0);
      position = next;
    } while (position !== null);
    expect(count).toBe(100_000);
    expect(longest).toBe(1000);
    expect(store.requests).toHaveLength(100);
  });

  test('are not read from a position that is none', async () => {
    const store = await bench.store();
    for (const position of ['', 'x', Buffer.from('{"a":1}').toString('base64url')]) {
      await expect(page(bench.source(store), position)).rejects.toThrow('no position');
    }
  });
});

describe('prefixes', () => {
  const given = async (prefix?: string) => {
    const store = await bench.store();
    for (const key of ['films/a', 'films/b/1', 'films/b/2', 'films2', 'other']) store.put(BUCKET, key, '1');
    return { store, source: bench.source(store, prefix === undefined ? {} : { location: { prefix } }) };
  };

  test.each([
    [undefined, null, ['films/a', 'films/b/1', 'films/b/2', 'films2', 'other']],
    [undefined, 'films/b', ['films/b/1', 'films/b/2']],
    ['films/', null, ['films/a', 'films/b/1', 'films/b/2']],
    ['films/', '', ['films/a', 'films/b/1', 'films/b/2']],
    ['films/', 'films/b/', ['films/b/1', 'films/b/2']],
    ['films/', 'films', ['films/a', 'films/b/1', 'films/b/2']],
  ])('%j and %j both hold', async (own, asked, keys) => {
    const { source } = await given(own);
    expect(keysOf(await listAll(source, asked))).toEqual(keys);
  });

  test.each(['other', '\ud800'])(
    'that have nothing in common match nothing, without a request: %j',
    async (asked) => {
      const { store, source } = await given('films/');
      await expect(page(source, null, asked)).resolves.toEqual({ objects: [], next: null });
      expect(store.requests).toHaveLength(0);
    },
  );

  test('are asked for by the check', async () => {
    const { store, source } = await given('films/');
    await source.check(signal);
    expect(store.requests.map(({ query }) => [query.get('prefix'), query.get('max-keys')])).toEqual([
      ['films/', '1'],
    ]);
  });

  test('hold although the store does not look at them', async () => {
    const origin = await startOrigin((_request, response) => {
      const contents = ['films/a', 'private/b'].map(
        (key) => `<Contents><Key>${key}</Key><Size>1</Size></Contents>`,
      );
      response.end(
        `<ListBucketResult><IsTruncated>false</IsTruncated>${contents.join('')}</ListBucketResult>`,
      );
    });
    bench.later(() => origin.close());
    const store = { endpoint: origin.url.origin, accessKeyId: 'x', secretAccessKey: 'y' };
    expect(keysOf(await listAll(bench.source(store, { location: { prefix: 'films/' } })))).toEqual([
      'films/a',
    ]);
  });
});

describe('keys', () => {
  const ODD = [
    'a b',
    'a%20b',
    'a+b',
    'a%2Bb',
    '%',
    '100%',
    'ü/💾',
    '\uFEFFbom',
    '<&>"\'',
    '\u0001\u001f',
    ' ',
    '\n',
    '../x',
    '//',
    '/',
  ];

  test('of every kind come as they are', async () => {
    const store = await bench.store();
    for (const key of ODD) store.put(BUCKET, key, key);
    const objects = await listAll(bench.source(store));
    expect(new Set(keysOf(objects))).toEqual(new Set(ODD));
    expect(objects.every(({ refusal }) => refusal === undefined)).toBe(true);
    for (const { key, version } of objects) {
      const opened = await bench.source(store).file(key).open({ signal });
      expect(Buffer.from(await opened.read(0, 2000, signal)).toString()).toBe(key);
      expect(opened.version).toBe(version);
    }
  });

  const percent = (key: string) => encodeURIComponent(key);
  test.each([
    ['AWS', undefined, ['a+b'], ['a+b']],
    ['AWS', undefined, ['a b'], ['a b']],
    [
      'a store that leaves a plus as it is',
      (key: string) => percent(key).replaceAll('%2B', '+'),
      ['a+b'],
      ['a+b'],
    ],
    [
      'a store that leaves a plus as it is',
      (key: string) => percent(key).replaceAll('%2B', '+'),
      ['a b', 'a+b'],
      ['a b', 'a+b'],
    ],
    ['a store that writes all in percent', percent, ['a b', 'a+b'], ['a b', 'a+b']],
  ])('with a plus are read as %s writes them', async (_name, encodeKey, keys, expected) => {
    const store = await bench.store();
    if (encodeKey !== undefined) store.quirks.encodeKey = encodeKey;
    for (const key of keys) store.put(BUCKET, key, '1');
    const source = bench.source(store);
    expect(keysOf(await listAll(source))).toEqual(expected);
    const requests = store.requests.length;
    expect(keysOf(await listAll(source))).toEqual(expected);
    expect(store.requests).toHaveLength(requests + 1);
  });

  test('are taken as they are where the store does not encode them', async () => {
    const store = await bench.store();
    store.quirks.ignoreEncodingType = true;
    for (const key of ['a+b', 'c%20d', 'e f']) store.put(BUCKET, key, '1');
    expect(keysOf(await listAll(bench.source(store)))).toEqual(['a+b', 'c%20d', 'e f']);
  });

  test('that cannot be stored are refused, each under a name of its own', async () => {
    const store = await bench.store();
    const raw = ['a%FF', 'a%FE', 'b%00', 'c%ED%A0%80', 'd%zz', 'fine'];
    raw.forEach((listedAs, index) => void store.put(BUCKET, `key-${index}`, '1', { listedAs }));
    const objects = await listAll(bench.source(store));
    const refused = objects.filter(({ refusal }) => refusal !== undefined);
    expect(keysOf(objects)).toContain('fine');
    expect(refused).toHaveLength(5);
    expect(new Set(keysOf(objects)).size).toBe(6);
    for (const { key, refusal } of refused) {
      expect(key.isWellFormed() && !key.includes('\0')).toBe(true);
      expect(refusal).toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: false });
    }
    expect(keysOf(refused)[0]).toMatch(/^a\uFFFD \[[0-9a-f]{12}\]$/);
  });
});

describe('what is told of an object', () => {
  test('is the same as when it is opened and read', async () => {
    const store = await bench.store();
    store.put(BUCKET, 'a.mp4', 'bytes', { etag: 'without-quotes' });
    store.put(BUCKET, 'b.mp4', 'bytes', { etag: '"with"' });
    const source = bench.source(store);
    for (const { key, version, size } of await listAll(source)) {
      expect(size).toBe(5);
      expect(version).toMatch(/^"with(out-quotes)?";5$/);
      expect((await source.file(key).open({ signal })).version).toBe(version);
      const { answer, discard } = await source.file(key).request({ bytes: 0, version, total: null }, signal);
      discard();
      expect(answer).toMatchObject({ kind: 'WHOLE', version, isOther: false });
    }
  });

  test('says that it is archived', async () => {
    const store = await bench.store();
    for (const storageClass of ['STANDARD', 'GLACIER', 'DEEP_ARCHIVE', 'GLACIER_IR', 'STANDARD_IA'])
      store.put(BUCKET, storageClass, '1', { storageClass });
    const objects = await listAll(bench.source(store));
    expect(keysOf(objects.filter(({ refusal }) => refusal !== undefined))).toEqual([
      'DEEP_ARCHIVE',
      'GLACIER',
    ]);
    expect(objects[0]?.refusal).toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: false });
    expect(objects[0]?.refusal?.message).toContain('restore it first');
  });

  test('says that it was restored', async () => {
    const day = 86_400_000;
    const restored = (inProgress: boolean, expires: number) =>
      `<RestoreStatus><IsRestoreInProgress>${inProgress}</IsRestoreInProgress><RestoreExpiryDate>${new Date(Date.now() + expires).toISOString()}</RestoreExpiryDate></RestoreStatus>`;
    const states = { a: restored(false, day), b: restored(true, day), c: restored(false, -day) };
    const origin = await startOrigin((_request, response) => {
      const contents = Object.entries(states).map(
        ([key, state]) =>
          `<Contents><Key>${key}</Key><Size>1</Size><StorageClass>GLACIER</StorageClass>${state}</Contents>`,
      );
      response.end(`<ListBucketResult>${contents.join('')}</ListBucketResult>`);
    });
    bench.later(() => origin.close());
    const source = bench.source({ endpoint: origin.url.origin, accessKeyId: 'x', secretAccessKey: 'y' });
    const objects = await listAll(source);
    expect(keysOf(objects.filter(({ refusal }) => refusal === undefined))).toEqual(['a']);
    expect(origin.requests[0]?.headers['x-amz-optional-object-attributes']).toBe('RestoreStatus');
  });

  test.each(['<Key>a</Key>', '<Size>1</Size>', '<Key>a</Key><Size>-1</Size>', '<Key>a</Key><Size>x</Size>'])(
    'must make sense: %s',
    async (content) => {
      const origin = await startOrigin((_request, response) => {
        response.end(`<ListBucketResult><Contents>${content}</Contents></ListBucketResult>`);
      });
      bench.later(() => origin.close());
      const source = bench.source({ endpoint: origin.url.origin, accessKeyId: 'x', secretAccessKey: 'y' });
      await expect(listAll(source)).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
    },
  );
});

test('a store that others made is listed and read', async () => {
  const store = await startS3rver({ bucket: BUCKET });
  bench.later(() => store.stop());
  const source = bench.source(store);
  // It makes no tokens on this Node: nothing may be left behind a page.
  await source.check(signal);
  for (const key of ['films/a b+c.mp4', 'films/b.mp4', 'other.mp4']) await store.put(key, key);
  expect(keysOf(await listAll(source, 'films/'))).toEqual(['films/a b+c.mp4', 'films/b.mp4']);
  const [listed] = await listAll(source);
  const opened = await source.file('films/a b+c.mp4').open({ signal });
  expect(Buffer.from(await opened.read(0, 100, signal)).toString()).toBe('films/a b+c.mp4');
  expect(opened.version).toBe(listed?.version);
});

test('the SDK is loaded by the first request only', async () => {
  const folder = new URL('../../src/sources/', import.meta.url);
  const names = (await readdir(folder)).filter((name) => name.startsWith('s3'));
  const texts = await Promise.all(names.map((name) => readFile(new URL(name, folder), 'utf8')));
  expect(texts.join('\n')).toContain("await import('@aws-sdk/client-s3')");
  for (const text of texts) expect(text).not.toMatch(/^import (?!type )[^;]*'@aws-sdk/m);
});
