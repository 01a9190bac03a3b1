import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  beginStage,
  closeStages,
  endStage,
  indexingFraction,
  isReindex,
  overallFraction,
  productStages,
  productsOf,
  rewindStages,
  storedFraction,
  waitingStages,
} from '../../src/services/stages.ts';

const now = new Date('2026-01-02T03:04:05.678Z');
const later = new Date('2026-01-02T03:04:06.000Z');
const error = { code: 'VIDEO_FILE_BROKEN', message: 'broken', retryable: false };

const WAITING = { name: 'VALIDATION', state: 'WAITING', fraction: 0 };

test('a task begins with every stage waiting, in their order', () => {
  expect(waitingStages()).toEqual([{ name: 'UPLOAD', state: 'WAITING', fraction: 0 }, WAITING]);
});

test('a stage that begins is running since then, and those beside it stay as they are', () => {
  const before = waitingStages();
  expect(beginStage(before, 'UPLOAD', now)).toEqual([
    { name: 'UPLOAD', state: 'RUNNING', fraction: 0, startedAt: '2026-01-02T03:04:05.678Z' },
    WAITING,
  ]);
  expect(before).toEqual(waitingStages());
});

test('a stage that begins again has forgotten its error and its times', () => {
  const failed = endStage(beginStage(waitingStages(), 'UPLOAD', now), 'UPLOAD', {
    state: 'FAILED',
    now,
    error,
  });
  expect(beginStage(failed, 'UPLOAD', later)[0]).toEqual({
    name: 'UPLOAD',
    state: 'RUNNING',
    fraction: 0,
    startedAt: later.toISOString(),
  });
});

test('a stage that is done is whole; one that failed keeps how far it came, and its error', () => {
  const running = beginStage(waitingStages(), 'UPLOAD', now).map((stage) => ({ ...stage, fraction: 0.25 }));
  const times = { startedAt: now.toISOString(), finishedAt: later.toISOString() };
  expect(endStage(running, 'UPLOAD', { state: 'DONE', now: later })[0]).toEqual({
    name: 'UPLOAD',
    state: 'DONE',
    fraction: 1,
    ...times,
  });
  expect(endStage(running, 'UPLOAD', { state: 'FAILED', now: later, error })[0]).toEqual({
    name: 'UPLOAD',
    state: 'FAILED',
    fraction: 0.25,
    error,
    ...times,
  });
});

test('a task that goes back to wait keeps what is done', () => {
  const done = endStage(beginStage(waitingStages(), 'UPLOAD', now), 'UPLOAD', { state: 'DONE', now });
  const running = beginStage(done, 'VALIDATION', later);
  expect(rewindStages(running)).toEqual([done[0], WAITING]);
});

test.each(['FAILED', 'CANCELED', 'SKIPPED'] as const)(
  'of a task that ended, what ran is %s, what had not begun is SKIPPED and what is done stays',
  (state) => {
    const running = beginStage(waitingStages(), 'UPLOAD', now);
    expect(closeStages(running, state, { now: later, error })).toEqual([
      { ...running[0], state, finishedAt: later.toISOString(), ...(state === 'FAILED' ? { error } : {}) },
      { ...WAITING, state: 'SKIPPED' },
    ]);
    const done = endStage(running, 'UPLOAD', { state: 'DONE', now });
    expect(closeStages(done, state, { now: later, error })[0]).toEqual(done[0]);
  },
);

const EVERY = waitingStages(['STREAM', 'THUMBNAILS', 'SCAN_TYPE', 'QUALITY', 'FINGERPRINT', 'SCENES']);

test('products are stages behind the others, each once and in their order', () => {
  expect(EVERY.map(({ name }) => name)).toEqual([
    'UPLOAD',
    'VALIDATION',
    'THUMBNAILS',
    'STREAM',
    'SCENES',
    'FINGERPRINT',
    'QUALITY',
    'SCAN_TYPE',
  ]);
  expect(productsOf(EVERY)).toHaveLength(6);
  expect(isReindex(EVERY)).toBe(false);
  expect(isReindex(productStages(['STREAM', 'STREAM']))).toBe(true);
  expect(productStages(['STREAM', 'STREAM'])).toHaveLength(1);
});

test('a task that goes back to wait has made no product', () => {
  const stored = endStage(waitingStages(['SCENES']), 'UPLOAD', { state: 'DONE', now });
  const made = endStage(beginStage(stored, 'SCENES', now), 'SCENES', { state: 'DONE', now });
  expect(rewindStages(made)).toEqual(stored);
});

const KINDS = [waitingStages(), EVERY, waitingStages(['STREAM']), productStages(['STREAM'])];

test.each(KINDS.map((stages) => [stages.map(({ name }) => name).join(), stages] as const))(
  'the whole grows with each of the stages %s, never past what is stored, which is less than all',
  (_names, stages) => {
    expect(overallFraction(stages, 'UPLOAD', 0)).toBe(0);
    expect(overallFraction(stages, 'VALIDATION', 0)).toBe(overallFraction(stages, 'UPLOAD', 1));
    expect(overallFraction(stages, 'VALIDATION', 1)).toBeCloseTo(storedFraction(stages));
    expect(storedFraction(stages)).toBeLessThan(1);
    const stage = fc.constantFrom('UPLOAD' as const, 'VALIDATION' as const);
    const any = fc.double({ min: -2, max: 2, noNaN: true });
    const whole = (name: 'UPLOAD' | 'VALIDATION', fraction: number) =>
      overallFraction(stages, name, fraction);
    fc.assert(
      fc.property(stage, any, any, (name, a, b) => {
        const [less, more] = [whole(name, Math.min(a, b)), whole(name, Math.max(a, b))];
        expect(less).toBeLessThanOrEqual(more);
        expect(less).toBeGreaterThanOrEqual(0);
        expect(more).toBeLessThan(1);
      }),
    );
  },
);

test('the whole grows with each product that runs at once with others, from what is stored to less than all', () => {
  const product = fc.constantFrom(...productsOf(EVERY));
  const fraction = fc.double({ min: 0, max: 1, noNaN: true });
  expect(indexingFraction(EVERY, {})).toBe(storedFraction(EVERY));
  fc.assert(
    fc.property(fc.dictionary(product, fraction), product, fraction, (running, name, grown) => {
      const more = { ...running, [name]: Math.max(running[name] ?? 0, grown) };
      expect(indexingFraction(EVERY, more)).toBeGreaterThanOrEqual(indexingFraction(EVERY, running) - 1e-9);
      expect(indexingFraction(EVERY, more)).toBeLessThan(1);
      const done = endStage(EVERY, name, { state: 'DONE', now });
      expect(indexingFraction(done, running)).toBeGreaterThanOrEqual(indexingFraction(EVERY, more) - 1e-9);
    }),
  );
  const failed = endStage(EVERY, 'STREAM', { state: 'FAILED', now, error });
  expect(indexingFraction(failed, {})).toBe(indexingFraction(EVERY, { STREAM: 1 }));
});
