import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../support/wait.ts';
import { admitted, INIT, open, subscribe } from './raw-socket.ts';
import { READ_KEY, type SmallServer, startSmallServer } from './support.ts';

const UPGRADE = [
  'GET /graphql HTTP/1.1',
  'Host: a',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Protocol: graphql-transport-ws',
  '\r\n',
].join('\r\n');

let server: SmallServer;
beforeAll(async () => {
  server = await startSmallServer();
});
afterAll(() => server.http.stop());

describe('limits', () => {
  test('the 51st operation at once is refused, and the others go on', async () => {
    const raw = await admitted(server);
    for (let id = 1; id <= 51; id++) raw.send(subscribe(`${id}`, 'subscription { forever }'));
    expect((await raw.message('error', '51')).payload).toMatchObject([
      { extensions: { code: 'RATE_LIMITED', retryAfterSeconds: 1 } },
    ]);
    await raw.message('next', '50');
    raw.send({ type: 'complete', id: '1' });
    await expect.poll(() => server.running()).toBe(49);
    raw.send(subscribe('52', '{ hello }'));
    await raw.message('next', '52');
    raw.socket.terminate();
    await expect.poll(() => server.running()).toBe(0);
  });

  test('the 21st socket of a key is closed with 4290, and other keys and sockets go on', async () => {
    const of = await startSmallServer();
    const sockets = await Promise.all(Array.from({ length: 20 }, () => admitted(of)));
    const refused = async () => {
      const raw = await open(of);
      raw.send(INIT);
      return await raw.closed;
    };
    const reason = 'Too many sockets with this key';
    expect(await refused()).toEqual({ code: 4290, reason });
    expect(await refused()).toEqual({ code: 4290, reason });
    const other = await open(of);
    other.send({ type: 'connection_init', payload: { authorization: `Bearer ${READ_KEY}` } });
    await other.message('connection_ack');
    for (const raw of sockets) raw.send(subscribe('1', '{ hello }'));
    for (const raw of sockets) await raw.message('next', '1');
    // Those that were refused, and those that leave in any way, take no place.
    sockets[0]?.socket.terminate();
    sockets[1]?.socket.close();
    await Promise.all([sockets[0]?.closed, sockets[1]?.closed]);
    for (const _ of [1, 2]) {
      await waitFor(async () => {
        const raw = await open(of);
        raw.send(INIT);
        return await Promise.race([
          raw.message('connection_ack').then(() => true),
          raw.closed.then(() => false),
        ]);
      });
    }
    expect(await refused()).toEqual({ code: 4290, reason });
    await of.http.stop();
  });

  test('a client with a key may send ten thousand items at once, and more than 32 MiB is closed with 1009', async () => {
    const raw = await admitted(server);
    const items = Array.from({ length: 10_000 }, (_, at) => ({ id: `${at}`, name: 'n'.repeat(200) }));
    raw.send(subscribe('1', 'query ($items: [Item!]!) { size(items: $items) }', { items }));
    expect((await raw.message('next', '1')).payload).toEqual({ data: { size: 10_000 } });
    raw.send('x'.repeat(32 * 1024 * 1024 + 1));
    expect((await raw.closed).code).toBe(1009);
  });

  test('one without may send 64 KiB in all', async () => {
    const raw = await open(server);
    raw.send(JSON.stringify({ ...INIT, payload: { ...INIT.payload, more: 'x'.repeat(70_000) } }));
    // It may be cut before it has read why.
    expect([1006, 1009]).toContain((await raw.closed).code);
    expect(raw.received).toEqual([]);
  });

  test('bytes that are no frame close the socket, and the server stays', async () => {
    const socket = connect(server.port, '127.0.0.1');
    socket.write(UPGRADE);
    await once(socket, 'data');
    socket.write('this is no frame at all');
    socket.resume();
    await once(socket, 'close');
    (await admitted(server)).socket.close();
  });
});

test('a server that stops closes its sockets with 1001, also those that do not answer', async () => {
  const of = await startSmallServer();
  const raw = await admitted(of);
  raw.send(subscribe('1', 'subscription { forever }'));
  await raw.message('next');
  const silent = connect(of.port, '127.0.0.1');
  silent.write(UPGRADE);
  await once(silent, 'data');
  silent.on('error', () => {}).resume();
  const began = performance.now();
  await of.http.stop();
  // Two seconds for those that do not answer; the rest is for a busy machine.
  expect(performance.now() - began).toBeLessThan(10_000);
  expect((await raw.closed).code).toBe(1001);
  await expect.poll(() => of.running()).toBe(0);
});
