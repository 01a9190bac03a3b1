import { expect, test } from 'vitest';
import { shareLookups } from '../../src/http/shared-lookups.ts';
import type { Viewer } from '../../src/services/viewer.ts';

const viewerOf = (keyName: string): Viewer => ({
  keyId: 'k',
  keyName,
  scopes: ['READ'],
  defaultTeamId: 't',
  teamIds: ['t'],
});

/** A database that answers when it is told to, with the number of the lookup. */
function startLookups() {
  const open: { readonly key: string; answer(): void; fail(): void }[] = [];
  let count = 0;
  const authenticate = shareLookups(
    (key) =>
      new Promise((resolve, reject) => {
        const viewer = viewerOf(`${key} ${++count}`);
        open.push({ key, answer: () => resolve(viewer), fail: () => reject(new Error('away')) });
      }),
  );
  const nameOf = async (key: string) => (await authenticate(key))?.keyName;
  return { nameOf, open, next: () => open.shift() };
}

test('those that come while a lookup is under way share the next, which begins after they came', async () => {
  const { nameOf, open, next } = startLookups();
  const first = nameOf('a');
  const later = [nameOf('a'), nameOf('a')];
  expect(open).toHaveLength(1);
  next()?.answer();
  expect(await first).toBe('a 1');
  expect(open).toHaveLength(1);
  next()?.answer();
  expect(await Promise.all(later)).toEqual(['a 2', 'a 2']);
  const last = nameOf('a');
  next()?.answer();
  expect(await last).toBe('a 3');
});

test('keys do not wait for one another', async () => {
  const { nameOf, next } = startLookups();
  const all = [nameOf('a'), nameOf('b')];
  next()?.answer();
  next()?.answer();
  expect(await Promise.all(all)).toEqual(['a 1', 'b 2']);
});

test('a lookup that fails is the error of those who shared it, and of nobody else', async () => {
  const { nameOf, next } = startLookups();
  const first = nameOf('a').catch(String);
  const second = nameOf('a').catch(String);
  next()?.fail();
  expect(await first).toBe('Error: away');
  next()?.answer();
  expect(await second).toBe('a 2');
});
