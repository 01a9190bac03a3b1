import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backoffSeconds } from '../../src/jobs/backoff.ts';

const middle = () => 0.5;

describe('backoffSeconds', () => {
  it('doubles from the base up to 15 minutes', () => {
    const delays = [0, 1, 2, 3, 4, 5, 6, 7, 8, 20].map((earlierFailures) =>
      backoffSeconds({ baseSeconds: 5, earlierFailures, random: middle }),
    );
    expect(delays).toEqual([5, 10, 20, 40, 80, 160, 320, 640, 900, 900]);
  });

  it('stays within 20 % of that', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 40 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (earlierFailures, random) => {
          const exact = backoffSeconds({ baseSeconds: 5, earlierFailures, random: middle });
          const delay = backoffSeconds({ baseSeconds: 5, earlierFailures, random: () => random });
          return delay >= exact * 0.8 - 1e-9 && delay <= exact * 1.2 + 1e-9;
        },
      ),
    );
  });

  it('takes Retry-After when that is longer', () => {
    const first = { baseSeconds: 5, earlierFailures: 0, random: middle };
    expect(backoffSeconds({ ...first, retryAfterSeconds: 7 })).toBe(7);
    expect(backoffSeconds({ ...first, retryAfterSeconds: 2 })).toBe(5);
  });

  it('waits no longer than an hour because of Retry-After', () => {
    const first = { baseSeconds: 5, earlierFailures: 0, random: middle };
    expect(backoffSeconds({ ...first, retryAfterSeconds: 86_400 })).toBe(3600);
    expect(backoffSeconds({ ...first, retryAfterSeconds: Number.NaN })).toBe(5);
    expect(backoffSeconds({ ...first, retryAfterSeconds: -1 })).toBe(5);
  });
});
