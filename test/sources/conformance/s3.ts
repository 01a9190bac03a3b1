import { createAddressPolicy } from '../../../src/sources/addresses.ts';
import { createGuardedAgent } from '../../../src/sources/guarded-agent.ts';
import { createS3Source } from '../../../src/sources/s3.ts';
import { oddKeys } from '../../support/s3/odd-keys.ts';
import type { Store } from '../../support/s3/sdk.ts';
import { type S3Quirks, startS3 } from '../../support/s3.ts';
import { startS3rver } from '../../support/s3rver.ts';
import { isPath, type Listing, type Place, type PlaceKind } from './place.ts';

const BUCKET = 'films';

export const s3: PlaceKind = {
  name: 'S3',
  start: () => startOnDouble({}),
  canBreak: true,
  judgesFirst: true,
  lists: true,
  pages: true,
  tellsEmpty: true,
  keys: oddKeys,
};

/** Knows no conditions, so that only what it tells of an answer shows which version that is. */
export const simpleS3: PlaceKind = {
  ...s3,
  name: 'S3 without conditions',
  start: () => startOnDouble({ ignoreIfMatch: true, ignoreIfNoneMatch: true }),
};

/** Keeps keys as paths, makes tokens with a cipher that OpenSSL has no more, and gives a byte of files without any. */
export const s3rver: PlaceKind = {
  name: 's3rver',
  start: startOnS3rver,
  canBreak: false,
  judgesFirst: true,
  lists: true,
  pages: false,
  tellsEmpty: false,
  keys: oddKeys.filter(isPath),
};

async function startOnDouble(quirks: S3Quirks): Promise<Place> {
  const store = await startS3();
  Object.assign(store.quirks, quirks);
  store.createBucket(BUCKET);
  const client = connect(store);
  let uncut = () => {};
  return {
    async put(key, bytes) {
      store.put(BUCKET, key, bytes);
    },
    cutAfter(bytes) {
      uncut();
      if (bytes !== null) uncut = store.script(() => ({ cutAfterBytes: bytes }));
    },
    isIdle: async () => store.requests.every(({ endedAt }) => endedAt !== null),
    ...client,
    async close() {
      await client.close();
      await store.stop();
    },
  };
}

async function startOnS3rver(): Promise<Place> {
  const store = await startS3rver({ bucket: BUCKET });
  const client = connect(store);
  return {
    put: (key, bytes) => store.put(key, bytes),
    cutAfter() {
      throw new Error('s3rver always sends all of it');
    },
    // It does not tell; that bodies are given up shows with the double.
    isIdle: async () => true,
    ...client,
    async close() {
      await client.close();
      await store.stop();
    },
  };
}

function connect(store: Store): Pick<Place, 'file' | 'close'> & { readonly listing: Listing } {
  const { endpoint, accessKeyId, secretAccessKey } = store;
  const agent = createGuardedAgent({ policy: createAddressPolicy({ allow: ['127.0.0.1/32'] }) });
  const made: { close(): void }[] = [];
  const sourceOf = (bucket: string) => {
    const location = { bucket, endpoint, region: 'us-east-1', forcePathStyle: true };
    const source = createS3Source({ location, credentials: { accessKeyId, secretAccessKey }, agent });
    made.push(source);
    return source;
  };
  const own = sourceOf(BUCKET);
  return {
    file: (key) => own.file(key),
    listing: { source: () => sourceOf(BUCKET), missing: () => sourceOf('no-such-films') },
    async close() {
      for (const source of made) source.close();
      await agent.destroy();
    },
  };
}
