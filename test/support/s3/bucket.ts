import { createHash } from 'node:crypto';
import { type Content, madeContent } from './content.ts';
import { compareBytes, lowerBound, quoted } from './encoding.ts';
import type { PutOptions, VirtualObject } from './types.ts';
import { createUploads, type Uploads } from './uploads.ts';

/** An object as it is stored. */
export interface StoredObject {
  readonly key: string;
  readonly content: Content;
  /** With quotes; empty if it tells none. */
  readonly etag: string;
  readonly lastModified: Date;
  readonly contentType: string;
  readonly storageClass: string;
  readonly listedAs: string | undefined;
  /** User metadata, by the whole names of its headers. */
  readonly metadata: Readonly<Record<string, string>>;
}

export interface Bucket {
  readonly name: string;
  readonly region: string;
  readonly isPublic: boolean;
  readonly uploads: Uploads;
  find(key: string): StoredObject | undefined;
  store(key: string, content: Content, options: PutOptions & { readonly etag: string }): StoredObject;
  fill(count: number, at: (index: number) => VirtualObject): void;
  remove(key: string): void;
  /** Objects in the byte order of their keys: those behind `after`, and not before `from`. */
  walk(after: string | null, from: string): Generator<StoredObject>;
}

export interface BucketOptions {
  readonly region?: string;
  readonly public?: boolean;
}

/** An empty bucket. */
export function createBucket(name: string, options: BucketOptions = {}): Bucket {
  const objects = new Map<string, StoredObject>();
  const order: string[] = [];
  let filled = createFill(0, () => ({ key: '', size: 0 }));

  function forget(key: string): void {
    if (!objects.delete(key)) return;
    order.splice(placeOf(order, key), 1);
  }

  return {
    name,
    region: options.region ?? 'us-east-1',
    isPublic: options.public ?? false,
    uploads: createUploads(),
    find: (key) => objects.get(key) ?? filled.find(key),
    store(key, content, putOptions) {
      const object = objectOf(key, content, putOptions);
      if (!objects.has(key)) order.splice(placeOf(order, key), 0, key);
      objects.set(key, object);
      return object;
    },
    fill(count, at) {
      filled = createFill(count, at);
    },
    remove(key) {
      forget(key);
      filled.remove(key);
    },
    *walk(after, from) {
      const isReached = (key: string) =>
        compareBytes(key, from) >= 0 && (after === null || compareBytes(key, after) > 0);
      yield* merge(walkOrder(order, objects, isReached), filled.walk(isReached));
    },
  };
}

function objectOf(
  key: string,
  content: Content,
  options: PutOptions & { readonly etag: string },
): StoredObject {
  const lastModified = options.lastModified ?? new Date();
  return {
    key,
    content,
    etag: quoted(options.etag),
    lastModified: new Date(Math.floor(lastModified.getTime() / 1000) * 1000),
    contentType: options.contentType ?? 'binary/octet-stream',
    storageClass: options.storageClass ?? 'STANDARD',
    listedAs: options.listedAs,
    metadata: options.metadata ?? {},
  };
}

const placeOf = (order: readonly string[], key: string): number =>
  lowerBound(order.length, (index) => compareBytes(order[index] ?? '', key) >= 0);

function* walkOrder(
  order: readonly string[],
  objects: ReadonlyMap<string, StoredObject>,
  isReached: (key: string) => boolean,
): Generator<StoredObject> {
  const start = lowerBound(order.length, (index) => isReached(order[index] ?? ''));
  for (let index = start; index < order.length; index++) {
    const object = objects.get(order[index] ?? '');
    if (object !== undefined) yield object;
  }
}

/** The virtual objects of a bucket; only the function that makes them is kept. */
function createFill(count: number, at: (index: number) => VirtualObject) {
  const removed = new Set<string>();
  // One time for all, or else a listing and a later request would tell two.
  const lastModified = new Date();
  const make = (index: number): StoredObject => {
    const virtual = at(index);
    const etag = virtual.etag ?? createHash('md5').update(`${virtual.key}\0${virtual.size}`).digest('hex');
    return objectOf(virtual.key, madeContent(virtual.size, virtual.body), { lastModified, ...virtual, etag });
  };
  return {
    find(key: string): StoredObject | undefined {
      if (removed.has(key)) return undefined;
      const index = lowerBound(count, (place) => compareBytes(at(place).key, key) >= 0);
      return index < count && at(index).key === key ? make(index) : undefined;
    },
    remove: (key: string) => void removed.add(key),
    *walk(isReached: (key: string) => boolean): Generator<StoredObject> {
      for (let index = lowerBound(count, (place) => isReached(at(place).key)); index < count; index++) {
        const object = make(index);
        if (!removed.has(object.key)) yield object;
      }
    },
  };
}

/** Both in their common order; of two with one key, the first's. */
function* merge(first: Generator<StoredObject>, second: Generator<StoredObject>): Generator<StoredObject> {
  let left = first.next();
  let right = second.next();
  while (left.done !== true || right.done !== true) {
    const order =
      left.done === true ? 1 : right.done === true ? -1 : compareBytes(left.value.key, right.value.key);
    if (order <= 0 && left.done !== true) {
      yield left.value;
      left = first.next();
    } else if (right.done !== true) {
      yield right.value;
    }
    if (order >= 0) right = second.next();
  }
}
