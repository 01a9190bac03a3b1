import { expect, test } from 'vitest';
import { createKnownKeys } from '../../src/http/known-keys.ts';
import type { Viewer } from '../../src/services/viewer.ts';

const viewerOf = (keyName: string): Viewer => ({
  keyId: 'k',
  keyName,
  scopes: ['READ'],
  defaultTeamId: 't',
  teamIds: ['t'],
});

/** A database that answers when it is told to, with the number of the lookup, or that there is no such key. */
function startLookups() {
  const open: { answer(): void; deny(): void; fail(): void }[] = [];
  let count = 0;
  let time = 0;
  const { authenticate, forget } = createKnownKeys(
    (key) =>
      new Promise((resolve, reject) => {
        const viewer = viewerOf(`${key} ${++count}`);
        open.push({
          answer: () => resolve(viewer),
          deny: () => resolve(null),
          fail: () => reject(new Error('away')),
        });
      }),
    () => time,
  );
  return {
    nameOf: async (key: string) => (await authenticate(key))?.keyName,
    open,
    next: () => open.shift(),
    forget,
    pass: (ms: number) => {
      time += ms;
    },
  };
}

test('a key is looked up once a second, however often it comes', async () => {
  const { nameOf, open, next, pass } = startLookups();
  const together = [nameOf('a'), nameOf('a')];
  expect(open).toHaveLength(1);
  next()?.answer();
  expect(await Promise.all(together)).toEqual(['a 1', 'a 1']);
  pass(999);
  expect(await nameOf('a')).toBe('a 1');
  pass(1);
  const later = nameOf('a');
  next()?.answer();
  expect(await later).toBe('a 2');
});

test('the second counts from when the lookup began, not from its answer', async () => {
  const { nameOf, open, next, pass } = startLookups();
  const first = nameOf('a');
  pass(900);
  next()?.answer();
  await first;
  pass(100);
  void nameOf('a');
  expect(open).toHaveLength(1);
});

test('keys are known each for itself', async () => {
  const { nameOf, next } = startLookups();
  const all = [nameOf('a'), nameOf('b')];
  next()?.answer();
  next()?.answer();
  expect(await Promise.all(all)).toEqual(['a 1', 'b 2']);
});

test('when keys have changed, nothing that was begun before counts', async () => {
  const { nameOf, next, forget } = startLookups();
  const known = nameOf('a');
  next()?.answer();
  await known;
  forget();
  const second = nameOf('a');
  forget();
  const third = nameOf('a');
  next()?.answer();
  next()?.deny();
  expect(await Promise.all([second, third])).toEqual(['a 2', undefined]);
  // Nor is what was asked before remembered by its late answer.
  const fourth = nameOf('a');
  next()?.answer();
  expect(await fourth).toBe('a 4');
});

test('what is no key, and a lookup that fails, is not remembered', async () => {
  const { nameOf, next } = startLookups();
  const denied = nameOf('a');
  next()?.deny();
  expect(await denied).toBeUndefined();
  const failed = nameOf('a').catch(String);
  next()?.fail();
  expect(await failed).toBe('Error: away');
  const good = nameOf('a');
  next()?.answer();
  expect(await good).toBe('a 3');
});

test('where lookups take long, what the first of them finds is kept', async () => {
  const { nameOf, open, next, pass } = startLookups();
  const first = nameOf('a');
  pass(50);
  const second = nameOf('a');
  pass(40);
  next()?.answer();
  expect(await first).toBe('a 1');
  expect(await nameOf('a')).toBe('a 1');
  next()?.answer();
  expect(await second).toBe('a 2');
  expect(open).toHaveLength(0);
});

test('nobody waits for a lookup that hangs', async () => {
  const { nameOf, open, next, pass } = startLookups();
  void nameOf('a');
  pass(50);
  const second = nameOf('a');
  expect(open).toHaveLength(2);
  next();
  next()?.answer();
  expect(await second).toBe('a 2');
});
