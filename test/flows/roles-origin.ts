import { createServer, request } from 'node:http';
import { onTestFinished } from 'vitest';
import { makeContents, startFileOrigin } from './file-origin.ts';
import type { ImportOptions } from './url-imports.ts';

let contents: ReturnType<typeof makeContents> | undefined;

/** An import of so many videos of an origin, which is there for one test. @param held keeps transfers waiting */
export async function serveVideos(count: number, held?: AbortSignal): Promise<ImportOptions> {
  contents ??= makeContents();
  const freshContent = await contents;
  const origin = await startFileOrigin();
  onTestFinished(() => origin.close());
  const videos = Array.from({ length: count }, (_, n) => ({
    externalId: `v${n}`,
    url: origin.put({ bytes: freshContent(), etag: `"${n}"`, ...(held ? { held } : {}) }),
  }));
  return { systemName: 'roles', videos };
}

/** An import of three videos; nothing of them is answered before the signal, looks neither. */
export async function serveHeldLook(released: AbortSignal): Promise<ImportOptions> {
  const { videos } = await serveVideos(3);
  const proxy = createServer((incoming, outgoing) => {
    const pass = () => {
      const [, target = ''] = /^\/(.*)$/.exec(incoming.url ?? '') ?? [];
      const onward = request(decodeURIComponent(target), { headers: incoming.headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      });
      onward.on('error', () => outgoing.destroy()).end();
    };
    if (released.aborted) pass();
    else released.addEventListener('abort', pass, { once: true });
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    proxy.closeAllConnections();
    proxy.close();
  });
  const address = proxy.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  const through = (url: string) => `http://127.0.0.1:${address.port}/${encodeURIComponent(url)}`;
  return { systemName: 'roles', videos: videos.map((video) => ({ ...video, url: through(video.url) })) };
}
