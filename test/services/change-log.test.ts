import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createChangeLog, type LogPart } from '../../src/services/change-log.ts';

const idArbitrary = fc.integer({ min: 0, max: 8 });
/** Reads that find changes, beside turns of three followers who take what there is. */
const stepArbitrary = fc.oneof(
  fc.record({ found: fc.uniqueArray(idArbitrary, { minLength: 1 }) }),
  fc.record({ follower: fc.integer({ min: 0, max: 2 }) }),
);

const toChange = (id: number, version: number) => ({
  id: String(id),
  kind: id === 0 ? ('I' as const) : ('T' as const),
  version: String(version),
});

test('every follower, however slow, is told the latest of everything, in parts, and its position never passes what it was not told', () => {
  fc.assert(
    fc.property(fc.array(stepArbitrary, { maxLength: 60 }), (steps) => {
      const log = createChangeLog('0');
      const latest = new Map<string, string>();
      const followers = [0, 1, 2].map(() => ({ position: 0, xmin: '0', known: new Map<string, string>() }));
      /** By transaction, what it changed. */
      const history: (readonly string[])[] = [];
      const take = (follower: (typeof followers)[number]): LogPart => {
        const part = log.after(follower.position, 2);
        expect(part.changes.filter(({ kind }) => kind === 'T').length).toBeLessThanOrEqual(2);
        for (const { id, version } of part.changes) follower.known.set(id, version);
        [follower.position, follower.xmin] = [part.to, part.xmin];
        // Whoever goes on from here by transactions finds all that it was not told.
        for (const ids of history.slice(0, Number(part.xmin)))
          for (const id of ids)
            if (!history.slice(Number(part.xmin)).flat().includes(id))
              expect(follower.known.get(id)).toBe(latest.get(id));
        return part;
      };
      for (const step of steps) {
        if ('follower' in step)
          take(followers[step.follower] as (typeof followers)[number]); // 0 to 2
        else {
          const version = history.length + 1;
          const changes = step.found.map((id) => toChange(id, version));
          for (const change of changes) latest.set(change.id, change.version);
          log.add(changes, String(history.length), String(version));
          history.push(changes.map(({ id }) => id));
        }
        log.forget(Math.min(...followers.map(({ position }) => position)));
      }
      for (const follower of followers) {
        while (!take(follower).isEnd);
        expect(follower.known).toEqual(latest);
        expect(follower.position).toBe(log.end);
      }
      expect(log.start).toBe(0);
    }),
  );
});

test('of very many changes the oldest are forgotten, and that is told', () => {
  const log = createChangeLog('0');
  log.add(
    Array.from({ length: 10_005 }, (_, n) => toChange(n + 1, 1)),
    '0',
    '1',
  );
  log.forget(0);
  expect(log.start).toBe(5);
  expect(log.after(5, 1).changes.map(({ id }) => id)).toEqual(['6']);
});
