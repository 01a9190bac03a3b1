import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import {
  type AddressInfo,
  createServer as createTcpServer,
  type Socket,
  type Server as TcpServer,
} from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
}

export interface Origin {
  readonly port: number;
  readonly url: URL;
  readonly requests: SeenRequest[];
  /** What an HTTP client must be allowed, to reach it. */
  readonly allow: string;
  close(): Promise<void>;
}

type Handler = (request: IncomingMessage, response: ServerResponse, index: number) => void;

/** Starts an HTTP origin on 127.0.0.1 that answers as the handler says; `index` counts its requests from 0. */
export async function startOrigin(
  handler: Handler,
  tls?: { readonly key: string; readonly cert: string },
): Promise<Origin> {
  const requests: SeenRequest[] = [];
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    requests.push({ method: request.method ?? '', path: request.url ?? '', headers: request.headers });
    handler(request, response, requests.length - 1);
  };
  const server: Server = tls === undefined ? createHttpServer(answer) : createHttpsServer(tls, answer);
  const port = await listen(server, '127.0.0.1');
  return {
    port,
    url: new URL(`${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}/video.mp4`),
    requests,
    allow: `127.0.0.1/32:${port}`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Starts an origin that speaks raw bytes: for answers that no HTTP library would send. */
export async function startRawOrigin(
  answer: (socket: Socket, head: string, index: number) => void,
): Promise<Origin> {
  const requests: SeenRequest[] = [];
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (data) => {
      const head = data.toString('latin1');
      requests.push({ method: head.split(' ')[0] ?? '', path: head.split(' ')[1] ?? '', headers: {} });
      answer(socket, head, requests.length - 1);
    });
  });
  const port = await listen(server, '127.0.0.1');
  return {
    port,
    url: new URL(`http://127.0.0.1:${port}/video.mp4`),
    requests,
    allow: `127.0.0.1/32:${port}`,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Something internal that nobody may reach: counts whoever connects. */
export async function startVictim(host = '127.0.0.2') {
  let connections = 0;
  const server = createTcpServer((socket) => {
    connections += 1;
    socket.on('error', () => {});
    socket.resume().end('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret');
  });
  const port = await listen(server, host);
  return {
    port,
    connections: () => connections,
    close: () => new Promise<unknown>((resolve) => server.close(resolve)),
  };
}

function listen(server: TcpServer, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, host, () => resolve((server.address() as AddressInfo).port)); // A TCP server has no other kind.
  });
}

/** A certificate that signs itself, for these names; made with openssl. */
export function makeCertificate(names: readonly string[], days = 2): { key: string; cert: string } {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-cert-'));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const subject = [
    '-subj',
    `/CN=${names[0]}`,
    '-addext',
    `subjectAltName=${names.map((name) => `DNS:${name}`).join(',')}`,
  ];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  execFileSync(
    'openssl',
    ['req', '-x509', ...kind, '-keyout', key, '-out', cert, '-days', String(days), ...subject],
    {
      stdio: 'pipe',
    },
  );
  try {
    return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export interface FileAnswerOptions {
  readonly etag?: string;
  readonly lastModified?: string;
  readonly contentType?: string;
  /** Cut the connection after this many bytes of the body. */
  readonly cutAfter?: number;
  readonly ignoreRange?: boolean;
}

/** How long a client has to read what was sent before a cut: of what it has not read by then, it may lose all. */
const READ_MS = 300;
/** In so many turns of the event loop: one of this process, that stands still meanwhile, is to read first. */
const READ_TURNS = 30;

/** Answers as a well-behaved file server does (Range, If-Range), and then cuts or lies as it is told. */
export function answerFile(
  request: IncomingMessage,
  response: ServerResponse,
  data: Buffer,
  options: FileAnswerOptions = {},
): void {
  const { etag, lastModified, contentType = 'video/mp4', cutAfter, ignoreRange = false } = options;
  const match = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const condition = request.headers['if-range'];
  const isCurrent = condition === undefined || condition === etag || condition === lastModified;
  const headers = {
    'content-type': contentType,
    ...(etag === undefined ? {} : { etag }),
    ...(lastModified === undefined ? {} : { 'last-modified': lastModified }),
  };
  if (match === null || !isCurrent || ignoreRange) {
    response.writeHead(200, { ...headers, 'content-length': data.length });
    send(response, data, cutAfter);
    return;
  }
  const start = Number(match[1]);
  if (start >= data.length) {
    response.writeHead(416, { ...headers, 'content-range': `bytes */${data.length}` });
    response.end();
    return;
  }
  const end = match[2] === '' ? data.length - 1 : Math.min(Number(match[2]), data.length - 1);
  const range = `bytes ${start}-${end}/${data.length}`;
  response.writeHead(206, { ...headers, 'content-range': range, 'content-length': end - start + 1 });
  send(response, data.subarray(start, end + 1), cutAfter);
}

function send(response: ServerResponse, body: Buffer, cutAfter: number | undefined): void {
  if (cutAfter === undefined || cutAfter >= body.length) {
    response.end(body);
    return;
  }
  if (cutAfter === 0) response.flushHeaders();
  // Cut only once the bytes have left this process: a reset throws away what is still queued.
  response.write(body.subarray(0, cutAfter), async () => {
    for (let turn = 0; turn < READ_TURNS; turn += 1) await sleep(READ_MS / READ_TURNS);
    response.socket?.destroy();
  });
}
