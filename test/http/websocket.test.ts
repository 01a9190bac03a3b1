import { once } from 'node:events';
import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { addressOf, admitted, INIT, open, subscribe } from './raw-socket.ts';
import {
  ask,
  KEY,
  post,
  READ_KEY,
  SECRET,
  type SmallServer,
  STRANGE_KEY,
  startSmallServer,
} from './support.ts';

let server: SmallServer;
beforeAll(async () => {
  server = await startSmallServer();
});
afterAll(() => server.http.stop());

describe('who is let in', () => {
  test('a key in connectionParams, or in the header of the upgrade', async () => {
    const withParameters = await admitted(server);
    withParameters.socket.close();
    const withHeader = await open(server, { headers: { authorization: `Bearer ${READ_KEY}` } });
    withHeader.send({ type: 'connection_init' });
    await withHeader.message('connection_ack');
    withHeader.send(subscribe('1', '{ viewer }'));
    expect((await withHeader.message('next')).payload).toEqual({ data: { viewer: 'READ' } });
    withHeader.socket.close();
  });

  test.each([
    ['no payload', undefined],
    ['no key', {}],
    ['an unknown key', { authorization: `Bearer ${STRANGE_KEY}` }],
    ['what is no key', { authorization: ['Bearer', KEY] }],
  ])('with %s it is closed with 4403', async (_, payload) => {
    const raw = await open(server);
    raw.send({ type: 'connection_init', payload });
    expect(await raw.closed).toEqual({ code: 4403, reason: 'Forbidden' });
  });

  test('pages of the same origin, of an allowed one, and clients that are no page', async () => {
    for (const origin of [undefined, server.url, 'https://pages.example']) {
      const raw = await admitted(server, origin === undefined ? {} : { origin });
      raw.socket.close();
    }
  });

  test.each(['https://evil.example', 'null', 'http://127.0.0.1', 'https://pages.example.evil.example'])(
    'no page of the origin %s',
    async (origin) => {
      const socket = new WebSocket(addressOf(server), 'graphql-transport-ws', { origin });
      const [error] = await once(socket, 'error');
      expect(String(error)).toContain('403');
    },
  );

  test('there is a socket at /graphql alone', async () => {
    const socket = new WebSocket(`${addressOf(server)}/other`, 'graphql-transport-ws');
    const [error] = await once(socket, 'error');
    expect(String(error)).toContain('404');
  });

  test('a key that is revoked closes its sockets within five seconds, and no other', async () => {
    const of = await startSmallServer();
    const staying = await admitted(of);
    const sockets = await Promise.all([1, 2, 3].map(() => open(of)));
    for (const raw of sockets) {
      raw.send({ type: 'connection_init', payload: { authorization: `Bearer ${READ_KEY}` } });
      await raw.message('connection_ack');
      raw.send(subscribe('1', 'subscription { forever }'));
      await raw.message('next');
    }
    const askedBefore = of.askedFor(READ_KEY);
    const began = performance.now();
    of.revoke(READ_KEY);
    for (const raw of sockets) expect(await raw.closed).toEqual({ code: 4403, reason: 'Forbidden' });
    // A look every three seconds, and what a busy machine adds.
    expect(performance.now() - began).toBeLessThan(8_000);
    // Once for the key, not for each socket.
    expect(of.askedFor(READ_KEY) - askedBefore).toBe(1);
    await expect.poll(() => of.running()).toBe(0);
    expect(staying.socket.readyState).toBe(WebSocket.OPEN);
    await of.http.stop();
  });
});

test('a key that may do less than before closes its sockets and streams: they are to be opened again', async () => {
  const of = await startSmallServer();
  const raw = await admitted(of);
  raw.send(subscribe('1', 'subscription { forever }'));
  await raw.message('next');
  const stream = await post(of, { query: 'subscription { forever }' }, { accept: 'text/event-stream' });
  const text = stream.text();
  await expect.poll(() => of.running()).toBe(2);
  of.limit(KEY, ['READ']);
  expect(await raw.closed).toEqual({ code: 4403, reason: 'Forbidden' });
  expect(await text).toContain('"forever":1');
  await expect.poll(() => of.running()).toBe(0);
  // What was known of the key before is trusted for a while.
  await expect.poll(() => ask(of, '{ viewer }')).toEqual({ data: { viewer: 'READ' } });
  const again = await admitted(of);
  of.limit(KEY, ['READ', 'WRITE']);
  // More than one look later it is still there.
  const asked = of.asked();
  await expect.poll(() => of.asked()).toBeGreaterThan(asked + 1);
  expect(again.socket.readyState).toBe(WebSocket.OPEN);
  await of.http.stop();
});

describe('the protocol', () => {
  test('a subscription comes event by event, up to its end', async () => {
    const client = createClient({
      url: addressOf(server),
      webSocketImpl: WebSocket,
      connectionParams: { authorization: `Bearer ${KEY}` },
    });
    const events: unknown[] = [];
    for await (const event of client.iterate({ query: 'subscription { ticks(to: 3) }' })) events.push(event);
    expect(events).toEqual([1, 2, 3].map((ticks) => ({ data: { ticks } })));
    await client.dispose();
  });

  test('queries and mutations are executed, too', async () => {
    const raw = await admitted(server);
    raw.send(subscribe('q', '{ hello }'));
    raw.send(subscribe('m', 'mutation { count }'));
    expect((await raw.message('next', 'q')).payload).toEqual({ data: { hello: 'world' } });
    await raw.message('complete', 'm');
    expect((await raw.message('next', 'm')).payload).toEqual({ data: { count: server.counted() } });
    raw.socket.close();
  });

  test.each([
    ['an operation before the key', [subscribe('1', 'mutation { count }')], 4401],
    ['a second connection_init', [INIT, INIT], 4429],
    [
      'two operations of one id',
      [INIT, subscribe('1', 'subscription { forever }'), subscribe('1', '{ hello }')],
      4409,
    ],
    ['what is no JSON', ['{'], 4400],
    ['an unknown type', [{ type: 'start' }], 4400],
  ])('%s closes the socket', async (_, messages, code) => {
    const before = server.counted();
    const raw = await open(server);
    for (const message of messages) {
      raw.send(message);
      if (message === INIT && raw.received.length === 0) await raw.message('connection_ack');
    }
    expect((await raw.closed).code).toBe(code);
    expect(server.counted()).toBe(before);
  });

  test('a binary frame closes the socket with 4400', async () => {
    const raw = await open(server);
    raw.socket.send(Buffer.from(JSON.stringify(INIT)));
    expect((await raw.closed).code).toBe(4400);
  });

  test('another subprotocol is not spoken', async () => {
    const socket = new WebSocket(addressOf(server), 'graphql-ws');
    const [error] = await once(socket, 'error');
    expect(String(error)).toContain('Server sent no subprotocol');
  });

  test('who says nothing for three seconds is closed with 4408', async () => {
    const raw = await open(server);
    const began = performance.now();
    expect((await raw.closed).code).toBe(4408);
    expect(performance.now() - began).toBeLessThan(9_000);
  });

  test('a completed subscription ends, and so do all of a client that goes away', async () => {
    const raw = await admitted(server);
    for (const id of ['1', '2']) {
      raw.send(subscribe(id, 'subscription { forever }'));
      await raw.message('next', id);
    }
    expect(server.running()).toBe(2);
    raw.send({ type: 'complete', id: '1' });
    await expect.poll(() => server.running()).toBe(1);
    raw.socket.terminate();
    await expect.poll(() => server.running()).toBe(0);
  });

  test('an operation that is not valid is an error of its own, and the socket goes on', async () => {
    const raw = await admitted(server);
    raw.send(subscribe('1', '{ nothing }'));
    expect((await raw.message('error', '1')).payload).toMatchObject([
      { extensions: { code: 'BAD_USER_INPUT' } },
    ]);
    raw.send(subscribe('2', '{ hello'));
    expect((await raw.message('error', '2')).payload).toMatchObject([
      { extensions: { code: 'BAD_USER_INPUT' } },
    ]);
    raw.send(subscribe('3', 'query ($to: Int!) { slow(milliseconds: $to) }'));
    expect((await raw.message('next', '3')).payload).toMatchObject({
      errors: [{ extensions: { code: 'BAD_USER_INPUT' } }],
    });
    raw.send(subscribe('4', '{ slow(milliseconds: 5000) }'));
    expect((await raw.message('next', '4')).payload).toMatchObject({
      errors: [{ extensions: { code: 'QUERY_TOO_COMPLEX' } }],
    });
    raw.socket.close();
  });

  test('what is unexpected is masked and logged, in an answer and in the middle of a stream', async () => {
    const raw = await admitted(server);
    raw.send(subscribe('1', '{ secretFailure }'));
    raw.send(subscribe('2', 'subscription { failing }'));
    await raw.message('next', '1');
    await expect.poll(() => JSON.stringify(raw.received.filter(({ id }) => id === '2'))).toContain('errorId');
    const codes = JSON.stringify(raw.received).match(/INTERNAL_SERVER_ERROR/g);
    expect(codes).toHaveLength(2);
    expect(JSON.stringify(raw.received)).not.toContain('api_keys');
    for (const [, errorId] of JSON.stringify(raw.received).matchAll(/"errorId":"([^"]+)"/g)) {
      const line = server.logged.find((logged) => logged.includes(errorId ?? ''));
      expect(JSON.parse(line ?? '{}')).toMatchObject({ err: { message: SECRET } });
    }
    raw.socket.close();
  });
});
