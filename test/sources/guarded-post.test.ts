import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createPoster } from '../../src/sources/guarded-post.ts';
import { hang, type Receiver, startReceiver } from '../support/receiver.ts';
import { startVictim } from './origin.ts';

const FORBIDDEN = { code: 'SOURCE_FORBIDDEN_ADDRESS' };
const never = new AbortController().signal;
const message = { headers: { 'x-id': '1' }, body: '{"ü":1}', signal: never };

let receiver: Receiver;
beforeAll(async () => {
  receiver = await startReceiver(({ path }) => (path === '/hang' ? hang : 200));
});
afterAll(() => receiver.close());

/** A poster that may reach 127.0.0.1, and for which every name leads to these addresses, one after the other. */
function posterWith(...addresses: readonly (readonly string[])[]) {
  let asked = 0;
  const lookup = async () => {
    const found = addresses[Math.min(asked, addresses.length - 1)] ?? [];
    asked += 1;
    return found.map((address) => ({ address, family: 4 }));
  };
  const poster = createPoster({ allowAddresses: ['127.0.0.1/32'], lookup });
  onTestFinished(() => poster.close());
  return poster;
}

const named = (path: string, port = new URL(receiver.url).port) =>
  new URL(`http://receiver.example:${port}${path}`);

test('a message goes as it is to the address that the name leads to', async () => {
  const poster = posterWith(['127.0.0.1']);
  expect(await poster.check(named('/plain'))).toBeNull();
  expect(await poster.post(named('/plain'), message)).toMatchObject({ status: 200 });
  const [came] = receiver.at('/plain');
  expect(came).toMatchObject({ body: message.body, headers: { 'x-id': '1', connection: 'close' } });
});

test('a name that leads elsewhere by now is refused, although it was fine before', async () => {
  const victim = await startVictim();
  onTestFinished(() => void victim.close());
  const poster = posterWith(['127.0.0.1'], ['127.0.0.1'], ['127.0.0.2']);
  const url = named('/rebound', String(victim.port));
  expect(await poster.check(url)).toBeNull();
  await expect(poster.post(named('/first'), message)).resolves.toMatchObject({ status: 200 });
  await expect(poster.post(url, message)).rejects.toMatchObject(FORBIDDEN);
  expect(victim.connections()).toBe(0);
});

test('one forbidden address among several is enough', async () => {
  const poster = posterWith(['127.0.0.1', '10.0.0.1']);
  expect(await poster.check(named('/several'))).toMatchObject(FORBIDDEN);
  await expect(poster.post(named('/several'), message)).rejects.toMatchObject(FORBIDDEN);
});

test('literal addresses and names of this machine are judged without a look', async () => {
  const poster = posterWith([]);
  for (const host of ['10.0.0.1', '[::1]', '169.254.169.254', '127.1.1.1'])
    expect(await poster.check(new URL(`http://${host}/`))).toMatchObject(FORBIDDEN);
  expect(await createPoster({ allowAddresses: [] }).check(new URL('http://localhost/'))).toMatchObject(
    FORBIDDEN,
  );
});

test('a name that leads nowhere now is nothing to object to', async () => {
  const poster = posterWith([]);
  expect(await poster.check(named('/nowhere'))).toBeNull();
  await expect(poster.post(named('/nowhere'), message)).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
});

test('an abort ends the wait for an answer with its reason', async () => {
  const controller = new AbortController();
  const posted = posterWith(['127.0.0.1']).post(named('/hang'), { ...message, signal: controller.signal });
  const reason = new Error('enough');
  controller.abort(reason);
  await expect(posted).rejects.toBe(reason);
});
