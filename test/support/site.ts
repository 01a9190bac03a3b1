import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A web site of a few files, at an origin of its own. */
export interface Site {
  /** Its origin, without a slash at the end. */
  readonly url: string;
  close(): void;
}

/** Starts a site on a free port of 127.0.0.1, with scripts by their paths; everything else is one page. */
export async function startSite(
  page: string,
  scripts: Readonly<Record<string, string | Buffer>> = {},
): Promise<Site> {
  const server = createServer(({ url = '' }, response) => {
    const script = scripts[url];
    if (script) return void response.setHeader('content-type', 'text/javascript').end(script);
    response.setHeader('content-type', 'text/html').end(page);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo; // it listens on a port
  return {
    url: `http://127.0.0.1:${port}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
