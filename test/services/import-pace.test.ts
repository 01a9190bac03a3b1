import { expect, test } from 'vitest';
import { createImportPace } from '../../src/services/import-pace.ts';

test('when an import ends is told from how fast it came so far', () => {
  const pace = createImportPace();
  expect(pace.etaSeconds('a', 0.1, 0)).toBeNull();
  // Too soon to tell anything.
  expect(pace.etaSeconds('a', 0.11, 500)).toBeNull();
  expect(pace.etaSeconds('a', 0.2, 1_000)).toBe(8);
  expect(pace.etaSeconds('b', 0.5, 1_000)).toBeNull();
  expect(pace.etaSeconds('a', 0.3, 2_000)).toBe(7);
  // One that stands for a while takes longer, and not for ever at once.
  const slower = pace.etaSeconds('a', 0.3, 12_000);
  expect(slower).toBeGreaterThan(7);
  expect(slower).toBeLessThan(20);
  expect(pace.etaSeconds('a', 1, 13_000)).toBe(0);
});

test('one that never moves, that is opened again, or that nobody asked for in a minute tells nothing', () => {
  const pace = createImportPace();
  expect(pace.etaSeconds('a', 0.5, 0)).toBeNull();
  expect(pace.etaSeconds('a', 0.5, 10_000)).toBeNull();
  expect(pace.etaSeconds('a', 0.5 + 1e-9, 11_000)).toBeNull();
  expect(pace.etaSeconds('a', 0.6, 12_000)).toBeGreaterThan(0);
  expect(pace.etaSeconds('a', 0.2, 13_000)).toBeNull();
  expect(pace.etaSeconds('a', 0.3, 100_000)).toBeNull();
});
