import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mostRestrictive, type Requirements } from '../../src/services/requirements.ts';

const server: Requirements = {
  minWidth: 360,
  minHeight: 360,
  maxWidth: 5184,
  maxHeight: 2160,
  minAspectRatio: 1,
  maxAspectRatio: 2.4,
  minDuration: 4,
  maxDuration: 7200,
  maxSize: 2_147_483_648,
};
const BOUNDS = Object.keys(server) as (keyof Requirements)[]; // the object's own

test("the server's rules hold where an index has none", () => {
  expect(mostRestrictive(server)).toEqual(server);
  expect(mostRestrictive(server, {})).toEqual(server);
});

test('an index can narrow every rule, and widen none', () => {
  const narrow = Object.fromEntries(
    BOUNDS.map((bound) => [bound, server[bound] * (bound.startsWith('min') ? 1.5 : 0.5)]),
  );
  const wide = Object.fromEntries(
    BOUNDS.map((bound) => [bound, server[bound] * (bound.startsWith('min') ? 0.5 : 1.5)]),
  );
  expect(mostRestrictive(server, narrow)).toEqual(narrow);
  expect(mostRestrictive(server, wide)).toEqual(server);
  expect(mostRestrictive(server, { minWidth: 0, maxWidth: 0 })).toEqual({ ...server, maxWidth: 0 });
});

test('of several rules each bound is the strictest, in whatever order they come', () => {
  const rules = fc.record(
    Object.fromEntries(BOUNDS.map((bound) => [bound, fc.double({ min: 0, max: 1e10, noNaN: true })])),
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(rules, rules, (a, b) => {
      const both = mostRestrictive(server, a, b);
      expect(mostRestrictive(server, b, a)).toEqual(both);
      for (const bound of BOUNDS) {
        const values = [server, a, b].flatMap((given) => given[bound] ?? []);
        expect(both[bound]).toBe(bound.startsWith('min') ? Math.max(...values) : Math.min(...values));
      }
    }),
  );
  expect(server.minWidth).toBe(360);
});
