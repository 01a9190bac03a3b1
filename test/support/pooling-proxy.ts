import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A proxy that pools by transaction, in front of a PostgreSQL. */
export interface PoolingProxy {
  /** The URL of the target with the proxy's address in it. */
  readonly url: string;
  /** How many transactions ran on another connection than the one before of the same client. */
  switches(): number;
  close(): Promise<void>;
}

/** What such proxies keep track of (the manual of PgBouncer, ignore_startup_parameters); any other is refused. */
const KNOWN_PARAMETERS = new Set(['user', 'database', 'client_encoding', 'application_name']);

interface Client {
  readonly socket: Socket;
  /** The connection that it logs in over, or that runs its transaction. */
  server: Server | null;
  last: Server | null;
  readonly waiting: Buffer[];
}

interface Server {
  readonly socket: Socket;
  client: Client | null;
}

/**
 * Starts one. Each transaction runs on whichever connection is free, so that nothing of a session lasts; notifications
 * belong to nobody then and are dropped. Clients log in with the server itself.
 */
export async function startPoolingProxy(targetUrl: string): Promise<PoolingProxy> {
  const target = new URL(targetUrl);
  const sockets = new Set<Socket>();
  const free: Server[] = [];
  const queue: Client[] = [];
  let switches = 0;

  const assign = (client: Client): void => {
    // The one that has been free for longest: rarely the client's last one.
    const server = free.shift();
    if (server === undefined) {
      if (!queue.includes(client)) queue.push(client);
      return;
    }
    if (client.last !== null && client.last !== server) switches += 1;
    client.server = server;
    client.last = server;
    server.client = client;
    for (const message of client.waiting.splice(0)) server.socket.write(message);
  };
  const release = (server: Server): void => {
    if (server.client !== null) server.client.server = null;
    server.client = null;
    free.push(server);
    let next = queue.shift();
    while (next?.socket.destroyed) next = queue.shift();
    if (next !== undefined) assign(next);
  };
  const track = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  };

  const openServer = (client: Client): Server => {
    const socket = connect(Number(target.port), target.hostname);
    track(socket);
    const server: Server = { socket, client };
    const split = createSplitter({ hasStartup: false });
    socket.on('data', (chunk) => {
      for (const message of split(chunk)) {
        const type = letterAt(message, 0);
        if (type !== 'A') server.client?.socket.write(message);
        // Ready for a query, and idle: no transaction is open.
        if (type === 'Z' && letterAt(message, 5) === 'I') release(server);
      }
    });
    socket.on('close', () => {
      server.client?.socket.destroy();
      const index = free.indexOf(server);
      if (index >= 0) free.splice(index, 1);
    });
    return server;
  };

  const listener = createServer((socket) => {
    track(socket);
    const client: Client = { socket, server: null, last: null, waiting: [] };
    const split = createSplitter({ hasStartup: true });
    let hasStarted = false;
    socket.on('data', (chunk) => {
      for (const message of split(chunk)) {
        if (!hasStarted) {
          hasStarted = true;
          const refused = parametersOf(message).find((name) => !KNOWN_PARAMETERS.has(name));
          if (refused !== undefined) return void socket.end(refusalOf(refused));
          client.server = openServer(client);
          client.last = client.server;
        } else if (letterAt(message, 0) === 'X') {
          // It leaves; its connection stays for the others.
          return void socket.end();
        }
        if (client.server !== null) client.server.socket.write(message);
        else {
          client.waiting.push(message);
          assign(client);
        }
      }
    });
    socket.on('close', () => {
      // In the middle of a transaction, or of a login: nobody can go on with it.
      client.server?.socket.destroy();
      const index = queue.indexOf(client);
      if (index >= 0) queue.splice(index, 1);
    });
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  const url = new URL(targetUrl);
  if (address !== null && typeof address === 'object') url.port = String(address.port);
  return {
    url: url.href,
    switches: () => switches,
    async close() {
      for (const socket of sockets) socket.destroy();
      listener.close();
      await once(listener, 'close');
    },
  };
}

const letterAt = (message: Buffer, index: number) => String.fromCharCode(message[index] ?? 0);

/** Cuts a stream into messages of the protocol: a letter (but for the first of a client), the length of the rest, the rest. */
function createSplitter({ hasStartup }: { readonly hasStartup: boolean }): (chunk: Buffer) => Buffer[] {
  let rest: Buffer = Buffer.alloc(0);
  let letters = hasStartup ? 0 : 1;
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    const messages: Buffer[] = [];
    while (rest.length >= letters + 4) {
      const end = letters + rest.readInt32BE(letters);
      if (rest.length < end) break;
      messages.push(rest.subarray(0, end));
      rest = rest.subarray(end);
      letters = 1;
    }
    return messages;
  };
}

/** The names in the first message of a client: its length, a version, then names and values. */
function parametersOf(startup: Buffer): readonly string[] {
  const texts = startup.toString('utf8', 8).split('\0');
  return texts.filter((text, index) => index % 2 === 0 && text !== '');
}

function refusalOf(parameter: string): Buffer {
  const fields = ['SFATAL', 'VFATAL', 'C08P01', `Munsupported startup parameter: ${parameter}`];
  const body = Buffer.from(`${fields.join('\0')}\0\0`);
  const head = Buffer.from('E\0\0\0\0');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}
