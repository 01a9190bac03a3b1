import { setMaxListeners } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createOriginLimit } from '../../src/services/origin-limit.ts';

/** Work that runs until it is told to end, under a limit. */
function createRuns() {
  const limit = createOriginLimit();
  const running = new Map<string, (() => void)[]>();
  const started: string[] = [];
  return {
    started,
    run: (origin: string, name: string, signal = new AbortController().signal) =>
      limit(origin, signal, () => {
        started.push(name);
        return new Promise<void>((resolve) => {
          running.set(origin, [...(running.get(origin) ?? []), resolve]);
        });
      }),
    /** Ends the oldest run of an origin. */
    async endOne(origin: string) {
      running.get(origin)?.shift()?.();
      await turn();
    },
    at: (origin: string) => running.get(origin)?.length ?? 0,
    altogether: () => [...running.values()].reduce((sum, { length }) => sum + length, 0),
  };
}

const times = (count: number, make: (n: number) => Promise<void>) =>
  Array.from({ length: count }, (_, n) => make(n));

test('an origin is asked by eight at once, in the order they came', async () => {
  const runs = createRuns();
  const all = Promise.all(times(20, (n) => runs.run('http://a.example', `file ${n}`)));
  await turn();
  expect(runs.at('http://a.example')).toBe(8);
  for (let n = 0; n < 20; n += 1) {
    expect(runs.at('http://a.example')).toBeLessThanOrEqual(8);
    await runs.endOne('http://a.example');
  }
  await all;
  expect(runs.started).toEqual(Array.from({ length: 20 }, (_, n) => `file ${n}`));
});

test('each origin has eight of its own, whatever kind it is', async () => {
  const runs = createRuns();
  const origins = [
    'http://a.example',
    'http://a.example:8080',
    'https://a.example',
    's3:aws/clips',
    's3:aws/more',
  ];
  for (const origin of origins) void times(10, (n) => runs.run(origin, `file ${n}`));
  await turn();
  expect(origins.map(runs.at)).toEqual([8, 8, 8, 8, 8]);
});

test('64 run altogether; an origin that is full keeps nobody else waiting', async () => {
  const runs = createRuns();
  for (let n = 0; n < 9; n += 1) void times(8, () => runs.run(`http://${n}.example`, 'any'));
  await turn();
  expect(runs.altogether()).toBe(64);
  expect(runs.at('http://8.example')).toBe(0);
  // First in line behind a full origin, and behind it one that fits.
  await runs.endOne('http://0.example');
  expect(runs.at('http://8.example')).toBe(1);
  expect(runs.altogether()).toBe(64);
});

test('one that fails makes room like one that ends', async () => {
  const limit = createOriginLimit();
  const { signal } = new AbortController();
  setMaxListeners(0, signal);
  const fail = () => limit('http://a.example', signal, () => Promise.reject(new Error('no')));
  const ends = await Promise.allSettled(Array.from({ length: 30 }, fail));
  expect(ends.every(({ status }) => status === 'rejected')).toBe(true);
  expect(await limit('http://a.example', signal, () => Promise.resolve('room'))).toBe('room');
});

test('who waits is rejected with the reason of the signal, and takes no room', async () => {
  const runs = createRuns();
  void times(8, () => runs.run('http://a.example', 'busy'));
  const controller = new AbortController();
  const waiting = runs.run('http://a.example', 'waits', controller.signal);
  const next = runs.run('http://a.example', 'next');
  await turn();
  controller.abort(new Error('the time is up'));
  await expect(waiting).rejects.toThrow('the time is up');
  await expect(runs.run('http://b.example', 'late', controller.signal)).rejects.toThrow('the time is up');
  await runs.endOne('http://a.example');
  expect(runs.started.at(-1)).toBe('next');
  while (runs.at('http://a.example') > 0) await runs.endOne('http://a.example');
  await next;
  expect(runs.started).not.toContain('waits');
});
