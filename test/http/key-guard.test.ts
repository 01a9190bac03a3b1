import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { createKeyGuard, isTooMany, type KeyGuard } from '../../src/http/key-guard.ts';
import type { Viewer } from '../../src/services/viewer.ts';
import { ask, codesOf, KEY, post, READ_KEY, type SmallServer, startSmallServer } from './support.ts';

const newWrongKey = () => `slc_${randomUUID()}`;

describe('a guard', () => {
  const viewer: Viewer = { keyId: '1', keyName: 'k', scopes: ['READ'], defaultTeamId: '1', teamIds: ['1'] };
  let time: number;
  let asked: number;
  let guard: KeyGuard;

  beforeEach(() => {
    [time, asked] = [1_000_000, 0];
    const authenticate = async (key: string) => {
      asked += 1;
      return key === KEY ? viewer : null;
    };
    guard = createKeyGuard(authenticate, () => time);
  });
  const admit = async (key: string, address = '192.0.2.1') => {
    const admitted = await guard.admit(`Bearer ${key}`, address);
    return admitted === null ? 'WRONG' : isTooMany(admitted) ? admitted.retryAfterSeconds : 'GOOD';
  };

  test('looks at twenty wrong keys of an address within a minute, however many come at once', async () => {
    const answers = await Promise.all(Array.from({ length: 1000 }, () => admit(newWrongKey())));
    expect(asked).toBe(20);
    expect(answers.filter((answer) => answer === 'WRONG')).toHaveLength(20);
    expect(answers.filter((answer) => answer === 60)).toHaveLength(980);
    time += 59_500;
    expect(await admit(newWrongKey())).toBe(1);
    time += 500;
    expect(await admit(newWrongKey())).toBe('WRONG');
  });

  test('keeps nobody out for what another address did, nor for what a shared one did once the key was good', async () => {
    expect(await admit(KEY)).toBe('GOOD');
    for (let n = 0; n < 20; n += 1) await admit(newWrongKey());
    expect(await admit(KEY)).toBe('GOOD');
    expect(await admit(newWrongKey())).toBe(60);
    expect(await admit(newWrongKey(), '192.0.2.2')).toBe('WRONG');
  });

  test('admits many good keys of one address at once', async () => {
    const answers = await Promise.all(Array.from({ length: 200 }, () => admit(KEY)));
    expect(new Set(answers)).toEqual(new Set(['GOOD']));
  });

  test('takes the addresses of one IPv6 network for one, and an IPv4 address in IPv6 for itself', async () => {
    for (let n = 0; n < 20; n += 1) await admit(newWrongKey(), `2001:db8::${n}`);
    expect(await admit(newWrongKey(), '2001:db8::ffff')).toBe(60);
    expect(await admit(newWrongKey(), '2001:db8:0:1::1')).toBe('WRONG');
    for (let n = 0; n < 20; n += 1) await admit(newWrongKey(), '::ffff:192.0.2.7');
    expect(await admit(newWrongKey(), '192.0.2.7')).toBe(60);
  });

  test('counts what is no key at all, and goes on when the database has failed', async () => {
    for (let n = 0; n < 20; n += 1) await guard.admit('Basic c2xj', '192.0.2.1');
    expect(await admit(newWrongKey())).toBe(60);
    const failing = createKeyGuard(async () => {
      throw new Error('away');
    });
    const tries = Array.from({ length: 100 }, () => failing.admit(`Bearer ${KEY}`, '192.0.2.1'));
    for (const result of await Promise.allSettled(tries)) expect(result.status).toBe('rejected');
  });
});

describe('a server', () => {
  let server: SmallServer;
  const start = async (settings: Parameters<typeof startSmallServer>[0] = {}) => {
    server = await startSmallServer(settings);
    onTestFinished(() => server.http.stop());
  };

  test('answers 429 after twenty wrong keys, and 401 without one', async () => {
    await start();
    expect((await post(server, { query: '{ hello }' })).status).toBe(200);
    for (let n = 0; n < 20; n += 1)
      expect((await post(server, { query: '{ hello }' }, { key: newWrongKey() })).status).toBe(401);
    // One that is good, and was not shown before, is not looked at either.
    const refused = await post(server, { query: '{ hello }' }, { key: READ_KEY });
    expect(refused.status).toBe(429);
    const seconds = Number(refused.headers.get('retry-after'));
    expect(seconds).toBeGreaterThan(0);
    expect(await refused.json()).toEqual({
      errors: [
        {
          message: `Too many wrong API keys came from this address. Try again in ${seconds} seconds.`,
          extensions: { code: 'RATE_LIMITED', retryAfterSeconds: seconds },
        },
      ],
    });
    expect((await post(server, { query: '{ hello }' }, { key: null })).status).toBe(401);
    expect(codesOf(await ask(server, '{ hello }'))).toEqual([]);
  });

  const showWrongKeys = async (forwarded: string) => {
    for (let n = 0; n < 20; n += 1)
      await post(server, '{}', { key: newWrongKey(), headers: { 'x-forwarded-for': forwarded } });
  };
  const statusFor = async (forwarded: string) =>
    (await post(server, { query: '{ hello }' }, { headers: { 'x-forwarded-for': forwarded } })).status;

  test('tells clients apart behind a proxy that is trusted, by what that has added and not by what they say', async () => {
    await start({ trustedProxies: ['127.0.0.0/8', '::1'] });
    await showWrongKeys('203.0.113.9, 192.0.2.1');
    expect(await statusFor('198.51.100.3, 192.0.2.1')).toBe(429);
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
      headers: { 'x-forwarded-for': '192.0.2.1' },
    });
    await once(socket, 'open');
    const payload = { authorization: `Bearer ${KEY}` };
    socket.send(JSON.stringify({ type: 'connection_init', payload }));
    expect((await once(socket, 'close'))[0]).toBe(4403);
    expect(await statusFor('192.0.2.2')).toBe(200);
  });

  test('takes no word for it from whom it does not trust', async () => {
    await start();
    await showWrongKeys('192.0.2.1');
    expect(await statusFor('192.0.2.2')).toBe(429);
  });

  test('closes sockets with wrong keys with 4403, and looks at twenty of them', async () => {
    await start();
    const codes: number[] = [];
    for (let n = 0; n < 25; n += 1) {
      const socket = new WebSocket(`${server.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
      await once(socket, 'open');
      const payload = { authorization: `Bearer ${newWrongKey()}` };
      socket.send(JSON.stringify({ type: 'connection_init', payload }));
      const [code] = (await once(socket, 'close')) as [number]; // ws tells the code first
      codes.push(code);
    }
    expect(new Set(codes)).toEqual(new Set([4403]));
    expect(server.asked()).toBe(20);
  });
});
