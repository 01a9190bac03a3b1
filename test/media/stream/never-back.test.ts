import { expect, it } from 'vitest';
import { neverBack } from '../../../src/media/stream/never-back.ts';

it('work that begins anew stays where it was, and goes on telling, for silence would be its end', () => {
  const told: number[] = [];
  const report = neverBack((fraction) => told.push(fraction));
  for (const fraction of [0.2, 0.9, 0, 0.1, 0.95, 2]) report(fraction);
  expect(told).toEqual([0.2, 0.9, 0.9, 0.9, 0.95, 1]);
});
