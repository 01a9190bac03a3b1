import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createHttpClient, type HttpClient, type HttpClientOptions } from '../../src/sources/http-client.ts';
import { makeCertificate, type Origin, startOrigin, startRawOrigin, startVictim } from './origin.ts';

const FORBIDDEN = { name: 'SourceError', code: 'SOURCE_FORBIDDEN_ADDRESS', retryable: false };
const signal = new AbortController().signal;
let cleanups: (() => Promise<unknown>)[] = [];
let victim: Awaited<ReturnType<typeof startVictim>>;

beforeEach(async () => {
  victim = await startVictim();
});
afterEach(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
  cleanups = [];
  expect(victim.connections()).toBe(0);
  await victim.close();
});

function clientOf(options: HttpClientOptions): HttpClient {
  const client = createHttpClient(options);
  cleanups.push(() => client.close());
  return client;
}

async function originOf(...parameters: Parameters<typeof startOrigin>): Promise<Origin> {
  const origin = await startOrigin(...parameters);
  cleanups.push(() => origin.close());
  return origin;
}

async function rawOriginOf(...parameters: Parameters<typeof startRawOrigin>): Promise<Origin> {
  const origin = await startRawOrigin(...parameters);
  cleanups.push(() => origin.close());
  return origin;
}

async function failureOf(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    () => Promise.reject(new Error('should have failed')),
    (error: Error) => error,
  );
}

const hostsOf = (addresses: Record<string, readonly string[]>) => async (hostname: string) =>
  (addresses[hostname] ?? []).map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));

describe('forbidden addresses', () => {
  test.each([
    '127.0.0.2',
    '0x7f.2',
    '2130706434',
    '127.2',
    '[::ffff:127.0.0.2]',
    '[::127.0.0.2]',
    '①②⑦.⓪.⓪.②',
  ])('a literal is refused in the spelling %s', async (host) => {
    const client = clientOf({ allowAddresses: ['127.0.0.1/32:1'] });
    await expect(client.get(new URL(`http://${host}:${victim.port}/`), { signal })).rejects.toMatchObject(
      FORBIDDEN,
    );
  });

  test('a name that resolves to a forbidden address is refused', async () => {
    const client = clientOf({ allowAddresses: [], lookup: hostsOf({ 'video.test': ['127.0.0.2'] }) });
    const url = new URL(`http://video.test:${victim.port}/`);
    await expect(client.get(url, { signal })).rejects.toMatchObject(FORBIDDEN);
  });

  test('one forbidden address among several is enough', async () => {
    const origin = await originOf((_request, response) => response.end('ok'));
    const lookup = hostsOf({ 'both.test': ['127.0.0.1', '127.0.0.2'], 'one.test': ['127.0.0.1'] });
    const client = clientOf({ allowAddresses: [origin.allow], lookup });
    await expect(client.get(new URL(`http://both.test:${origin.port}/`), { signal })).rejects.toMatchObject(
      FORBIDDEN,
    );
    const response = await client.get(new URL(`http://one.test:${origin.port}/`), { signal });
    expect(await text(response.body)).toBe('ok');
    expect(origin.requests).toHaveLength(1);
  });

  test('a name that resolves differently the second time is reached at the address that was checked', async () => {
    const origin = await originOf((_request, response) => response.end('public'));
    const asked: string[] = [];
    const lookup = async (hostname: string) => {
      asked.push(hostname);
      return [{ address: asked.length === 1 ? '127.0.0.1' : '127.0.0.2', family: 4 }];
    };
    const allow = [`127.0.0.1/32:${victim.port}`, origin.allow];
    const client = clientOf({ allowAddresses: allow, lookup });
    const url = new URL(`http://rebind.test:${origin.port}/`);
    const response = await client.get(url, { signal });
    expect(await text(response.body)).toBe('public');
    expect(asked).toEqual(['rebind.test']);
    // A new connection asks again, and sees through the second answer.
    await expect(client.get(new URL(`http://rebind.test:${victim.port}/`), { signal })).rejects.toMatchObject(
      FORBIDDEN,
    );
    expect(asked).toHaveLength(2);
  });

  test('the message is the same whether something listens there or not, and names no address', async () => {
    const client = clientOf({ allowAddresses: [], lookup: hostsOf({ 'inside.test': ['127.0.0.2'] }) });
    const urls = [
      `http://127.0.0.2:${victim.port}/`,
      'http://127.0.0.2:1/',
      'http://10.255.255.1:80/',
      `http://inside.test:${victim.port}/`,
      'http://inside.test/',
    ];
    const errors = await Promise.all(urls.map((url) => failureOf(client.get(new URL(url), { signal }))));
    expect(new Set(errors.map((error) => error.message)).size).toBe(1);
    expect(
      new Set(
        errors.map((error) =>
          JSON.stringify(
            error,
            Object.getOwnPropertyNames(error).filter((name) => name !== 'stack'),
          ),
        ),
      ).size,
    ).toBe(1);
    expect(errors[0]?.message).not.toMatch(/127\.|10\.|inside/);
  });

  test('proxies that the environment names are not used', async () => {
    const origin = await originOf((_request, response) => response.end('direct'));
    const before = { http_proxy: process.env.http_proxy, HTTP_PROXY: process.env.HTTP_PROXY };
    process.env.http_proxy = process.env.HTTP_PROXY = `http://127.0.0.2:${victim.port}`;
    try {
      const response = await clientOf({ allowAddresses: [origin.allow] }).get(origin.url, { signal });
      expect(await text(response.body)).toBe('direct');
    } finally {
      for (const [name, value] of Object.entries(before)) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    }
  });
});

describe('redirects', () => {
  const redirecting = (target: (index: number) => string, status = 302) =>
    originOf((_request, response, index) =>
      response.writeHead(status, { location: target(index) }).end('moved'),
    );

  test.each([301, 302, 303, 307, 308])('are followed with the same headers, status %d', async (status) => {
    const target = await originOf((request, response) => response.end(request.headers.range));
    const origin = await redirecting(() => `http://127.0.0.1:${target.port}/there?sig=1`, status);
    const client = clientOf({ allowAddresses: [origin.allow, target.allow] });
    const response = await client.get(origin.url, { signal, headers: { range: 'bytes=0-9' } });
    expect(await text(response.body)).toBe('bytes=0-9');
    expect(response.url.href).toBe(`http://127.0.0.1:${target.port}/there?sig=1`);
    expect(target.requests[0]).toMatchObject({ method: 'GET', path: '/there?sig=1' });
  });

  test('to a forbidden address are refused', async () => {
    for (const host of ['127.0.0.2', 'localhost.', '[::ffff:127.0.0.2]', 'inside.test']) {
      const origin = await redirecting(() => `http://${host}:${victim.port}/`);
      const client = clientOf({
        allowAddresses: [origin.allow],
        lookup: hostsOf({ 'inside.test': ['127.0.0.2'] }),
      });
      await expect(client.get(origin.url, { signal })).rejects.toMatchObject(FORBIDDEN);
    }
  });

  test('are followed five times and not six, and a loop ends', async () => {
    const last = (count: number) => (index: number) => `/${index + 1 === count ? 'last' : index}`;
    const hops = async (count: number) => {
      const origin = await originOf((request, response, index) => {
        if (request.url === '/last') response.end('here');
        else response.writeHead(302, { location: last(count)(index) }).end();
      });
      const client = clientOf({ allowAddresses: [origin.allow] });
      return client.get(origin.url, { signal });
    };
    expect(await text((await hops(5)).body)).toBe('here');
    await expect(hops(6)).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: false });
    const loop = await redirecting(() => '/again');
    await expect(clientOf({ allowAddresses: [loop.allow] }).get(loop.url, { signal })).rejects.toThrow(
      'redirects more than 5 times',
    );
    expect(loop.requests).toHaveLength(6);
  });

  test.each([
    'file:///etc/passwd',
    'ftp://127.0.0.2/',
    'http://user:pa55word@127.0.0.2/',
    'http://[',
    'data:,x',
  ])('to %s are refused', async (location) => {
    const origin = await redirecting(() => location);
    const error = await failureOf(clientOf({ allowAddresses: [origin.allow] }).get(origin.url, { signal }));
    expect(error).toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: false });
    expect(error.message).not.toMatch(/passwd|pa55word|127\.0\.0\.2/);
  });

  test('carry no cookies, referrer or credentials along', async () => {
    const target = await originOf((_request, response) => response.end());
    const origin = await originOf((_request, response) =>
      response.writeHead(302, { location: target.url.href, 'set-cookie': 'session=1' }).end(),
    );
    await clientOf({ allowAddresses: [origin.allow, target.allow] }).get(origin.url, { signal });
    expect(Object.keys(target.requests[0]?.headers ?? {}).sort()).toEqual([
      'accept',
      'accept-encoding',
      'connection',
      'host',
      'user-agent',
    ]);
    expect(target.requests[0]?.headers['accept-encoding']).toBe('identity');
  });
});

describe('TLS', () => {
  const certificate = makeCertificate(['video.test']);
  const lookup = hostsOf({ 'video.test': ['127.0.0.1'], 'other.test': ['127.0.0.1'] });
  const secret = () => originOf((_request, response) => response.end('over TLS'), certificate);

  test('a certificate that signs itself is refused', async () => {
    const origin = await secret();
    const client = clientOf({ allowAddresses: [origin.allow], lookup });
    const error = await failureOf(
      client.get(new URL(`https://video.test:${origin.port}/?sig=1`), { signal }),
    );
    expect(error).toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: true });
    expect(error.message).toContain('The certificate of video.test is not valid');
    expect(origin.requests).toHaveLength(0);
  });

  test('a certificate of an authority that we know is good for its own name and for no other', async () => {
    const origin = await secret();
    const client = clientOf({ allowAddresses: [origin.allow], lookup, ca: certificate.cert });
    const response = await client.get(new URL(`https://video.test:${origin.port}/`), { signal });
    expect(await text(response.body)).toBe('over TLS');
    expect(origin.requests[0]?.headers.host).toBe(`video.test:${origin.port}`);
    const error = await failureOf(client.get(new URL(`https://other.test:${origin.port}/`), { signal }));
    expect(error.message).toContain('The certificate of other.test is not valid');
  });

  test('a redirect from https to http is refused', async () => {
    const origin = await originOf(
      (_request, response) => response.writeHead(302, { location: 'http://video.test/' }).end(),
      certificate,
    );
    const client = clientOf({ allowAddresses: [origin.allow], lookup, ca: certificate.cert });
    const error = await failureOf(client.get(new URL(`https://video.test:${origin.port}/`), { signal }));
    expect(error).toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: false });
  });
});

describe('what a network does', () => {
  test('a name that does not exist will not come to exist; a resolver that fails may work again', async () => {
    const failing = (code: string) => async () =>
      Promise.reject(Object.assign(new Error(`getaddrinfo ${code}`), { code }));
    const get = (code: string) =>
      clientOf({ allowAddresses: [], lookup: failing(code) }).get(new URL('http://video.test/'), { signal });
    await expect(get('ENOTFOUND')).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: false });
    await expect(get('EAI_AGAIN')).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: true });
    const silent = clientOf({
      allowAddresses: [],
      lookup: () => new Promise(() => {}),
      connectTimeoutMs: 50,
    });
    await expect(silent.get(new URL('http://video.test/'), { signal })).rejects.toMatchObject({
      retryable: true,
    });
  });

  test('a refused connection may pass, and the message holds no query', async () => {
    // Nobody is given this port by chance, as one that was free a moment ago may be.
    const url = new URL('http://video.test:1/a.mp4?X-Amz-Signature=secret');
    const client = clientOf({
      allowAddresses: ['127.0.0.1/32:1'],
      lookup: hostsOf({ 'video.test': ['127.0.0.1'] }),
    });
    const error = await failureOf(client.get(url, { signal }));
    expect(error).toMatchObject({
      code: 'SOURCE_UNAVAILABLE',
      retryable: true,
      message: 'video.test refused the connection.',
    });
  });

  test('an answer that does not come in time may come later', async () => {
    const origin = await originOf(() => {});
    const client = clientOf({ allowAddresses: [origin.allow], headersTimeoutMs: 100 });
    const error = await failureOf(client.get(origin.url, { signal }));
    expect(error).toMatchObject({
      code: 'SOURCE_UNAVAILABLE',
      retryable: true,
      message: '127.0.0.1 did not answer in time.',
    });
  });

  test.each([
    ['garbage', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!'],
    ['a length that is none', 'HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nhello'],
    [
      'endless headers',
      `HTTP/1.1 200 OK\r\n${'X-Filler: 0123456789012345678901234567890123456789\r\n'.repeat(2000)}`,
    ],
    ['nothing', ''],
  ])('%s instead of an answer is an error and nothing else', async (_name, bytes) => {
    const origin = await rawOriginOf((socket) => socket.end(bytes, 'latin1'));
    const client = clientOf({ allowAddresses: [origin.allow] });
    await expect(client.get(origin.url, { signal })).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
  });

  test('a body that trickles is given up', async () => {
    let timer: NodeJS.Timeout | undefined;
    const trickle = await originOf((_request, response) => {
      response.writeHead(200);
      timer = setInterval(() => response.write('x'), 20);
      response.on('close', () => clearInterval(timer));
    });
    const client = clientOf({ allowAddresses: [trickle.allow], stallTimeoutMs: 300 });
    const response = await client.get(trickle.url, { signal });
    const error = await failureOf(text(response.body));
    expect(error).toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: true });
    expect(error.message).toContain('less than 1 KB/s');
  });

  test('a body that is read slowly is not a stalled one', async () => {
    const origin = await originOf((_request, response) => response.end(Buffer.alloc(200_000)));
    const client = clientOf({ allowAddresses: [origin.allow], stallTimeoutMs: 2500 });
    const response = await client.get(origin.url, { signal });
    let bytes = 0;
    for await (const chunk of response.body) {
      if (bytes === 0) await new Promise((resolve) => setTimeout(resolve, 3000));
      bytes += chunk.length;
    }
    expect(bytes).toBe(200_000);
  });

  test('a body that ends too early is an error', async () => {
    const origin = await rawOriginOf((socket) =>
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort'),
    );
    const response = await clientOf({ allowAddresses: [origin.allow] }).get(origin.url, { signal });
    await expect(text(response.body)).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: true });
  });

  test('an abort comes through with its own reason, before and in the middle of a body', async () => {
    const origin = await originOf((request, response) => {
      if (request.url === '/body') response.write('first');
    });
    const client = clientOf({ allowAddresses: [origin.allow] });
    const before = new AbortController();
    const waiting = client.get(origin.url, { signal: before.signal });
    before.abort(new Error('lease lost'));
    await expect(waiting).rejects.toThrow('lease lost');
    const during = new AbortController();
    const response = await client.get(new URL('/body', origin.url), { signal: during.signal });
    const reading = (async () => {
      for await (const _chunk of response.body) during.abort(new Error('stopped'));
    })();
    await expect(reading).rejects.toThrow('stopped');
  });

  test('a connection that the server closed while it was idle is replaced', async () => {
    const origin = await rawOriginOf((socket, _head, index) => {
      if (index === 1) socket.end();
      else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok');
    });
    const client = clientOf({ allowAddresses: [origin.allow] });
    expect(await text((await client.get(origin.url, { signal })).body)).toBe('ok');
    // Only now is the connection idle, and used again.
    await new Promise((resolve) => setImmediate(resolve));
    expect(await text((await client.get(origin.url, { signal })).body)).toBe('ok');
    expect(origin.requests).toHaveLength(3);
  });
});
