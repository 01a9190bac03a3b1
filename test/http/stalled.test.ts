import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type Server } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cutWhenStalled } from '../../src/http/stalled.ts';

const CHUNK = Buffer.alloc(64 * 1024);
/** More than the kernel keeps for a connection. */
const CHUNKS = 800;
let server: Server;
let port: number;
/** Of the latest answer: whether it went out whole. */
let outcome: Promise<boolean>;

beforeAll(async () => {
  server = createServer((_request, response) => {
    cutWhenStalled(response, 50);
    const chunks = Readable.from(Array.from({ length: CHUNKS }, () => CHUNK));
    outcome = pipeline(chunks, response).then(
      () => true,
      () => false,
    );
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  port = typeof address === 'object' && address !== null ? address.port : 0;
});

afterAll(() => server.close());

async function ask(): Promise<IncomingMessage> {
  const [response] = (await once(get({ port, host: '127.0.0.1' }), 'response')) as [IncomingMessage]; // as Node documents it
  return response;
}

test('a client that takes nothing is cut off', async () => {
  const response = await ask();
  response.on('error', () => {});
  response.pause();
  expect(await outcome).toBe(false);
});
