import { request as httpRequest } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { KEY, type SmallServer, startSmallServer } from './support.ts';

let server: SmallServer;
beforeAll(async () => {
  server = await startSmallServer();
});
afterAll(() => server.http.stop());

const MIB = 1024 * 1024;

test('a body that does not say how long it is ends with 413 as soon as it is too long', async () => {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${KEY}` };
  const request = httpRequest(`${server.url}/graphql`, { method: 'POST', headers });
  const answered = new Promise<number | undefined>((resolve, reject) => {
    request.on('response', (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on('error', reject);
  });
  // A little more than is taken, and no end: the answer must come all the same.
  request.write('{"query":"mutation { count }","x":"');
  for (let sent = 0; sent < 32; sent += 1) request.write(Buffer.alloc(MIB, 'x'));
  expect(await answered).toBe(413);
  request.destroy();
  expect(server.counted()).toBe(0);
});
