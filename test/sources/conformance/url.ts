import { createHash } from 'node:crypto';
import { createHttpClient } from '../../../src/sources/http-client.ts';
import { createUrlFile } from '../../../src/sources/url-file.ts';
import { oddKeys } from '../../support/s3/odd-keys.ts';
import { answerFile, startOrigin } from '../origin.ts';
import type { Place, PlaceKind } from './place.ts';

export const urls: PlaceKind = {
  name: 'a URL',
  start,
  canBreak: true,
  judgesFirst: false,
  lists: false,
  pages: false,
  tellsEmpty: true,
  keys: oddKeys,
};

async function start(): Promise<Place> {
  const files = new Map<string, Buffer>();
  let cutAfter: number | null = null;
  let open = 0;
  const origin = await startOrigin((request, response) => {
    open += 1;
    response.on('close', () => {
      open -= 1;
    });
    const data = files.get(new URL(request.url ?? '', 'http://here').searchParams.get('key') ?? '');
    if (data === undefined) return void response.writeHead(404).end();
    const cut = cutAfter === null ? {} : { cutAfter };
    answerFile(request, response, data, {
      etag: `"${createHash('md5').update(data).digest('hex')}"`,
      ...cut,
    });
  });
  const client = createHttpClient({ allowAddresses: [origin.allow] });
  return {
    async put(key, bytes) {
      files.set(key, Buffer.from(bytes));
    },
    file(key) {
      const url = new URL(origin.url);
      url.searchParams.set('key', key);
      return createUrlFile(client, url);
    },
    cutAfter(bytes) {
      cutAfter = bytes;
    },
    isIdle: async () => open === 0,
    listing: null,
    async close() {
      await client.close();
      await origin.close();
    },
  };
}
