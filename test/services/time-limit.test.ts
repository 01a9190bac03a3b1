import { getEventListeners, once, setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { limitTime } from '../../src/services/time-limit.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void; // There by the flag.

afterEach(() => {
  vi.useRealTimers();
});

describe('limitTime', () => {
  test('aborts after its time, though nothing else holds what it gave and garbage is collected meanwhile', async () => {
    const outer = new AbortController();
    setMaxListeners(0, outer.signal);
    let aborted = 0;
    for (let made = 0; made < 2_000; made += 1) {
      const { signal } = limitTime(outer.signal, 300);
      signal.addEventListener('abort', () => {
        aborted += 1;
      });
      if (made % 500 === 0) collect();
    }
    for (const until = performance.now() + 60_000; aborted < 2_000 && performance.now() < until; ) {
      collect();
      await sleep(20);
    }
    expect(aborted).toBe(2_000);
  });

  test('tells by its reason that the time was up', async () => {
    const limit = limitTime(new AbortController().signal, 20);
    expect([limit.signal.aborted, limit.isOver()]).toEqual([false, false]);
    await once(limit.signal, 'abort');
    expect(limit.signal.reason).toMatchObject({ name: 'TimeoutError' });
    expect(limit.isOver()).toBe(true);
  });

  test('is aborted with the reason of the other signal, before or while it runs', () => {
    const reason = new Error('the lease is lost');
    const outer = new AbortController();
    const running = limitTime(outer.signal, 60_000);
    outer.abort(reason);
    const late = limitTime(outer.signal, 60_000);
    for (const limit of [running, late]) {
      expect(limit.signal.reason).toBe(reason);
      expect(limit.isOver()).toBe(false);
      limit.end();
    }
  });

  test('lets go of the other signal and of its clock at its end, and is not aborted any more', () => {
    vi.useFakeTimers();
    const outer = new AbortController();
    setMaxListeners(0, outer.signal);
    const limits = Array.from({ length: 50 }, () => limitTime(outer.signal, 1_000));
    expect(getEventListeners(outer.signal, 'abort')).toHaveLength(50);
    for (const limit of limits) limit.end();
    expect(getEventListeners(outer.signal, 'abort')).toHaveLength(0);
    expect(vi.getTimerCount()).toBe(0);
    outer.abort();
    vi.advanceTimersByTime(2_000);
    expect(limits.some(({ signal, isOver }) => signal.aborted || isOver())).toBe(false);
  });
});
