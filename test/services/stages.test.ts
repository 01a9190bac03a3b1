import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  beginStage,
  closeStages,
  endStage,
  overallFraction,
  rewindStages,
  STORED_FRACTION,
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

test('the whole grows with each stage, never past what is stored, which is less than all', () => {
  expect(overallFraction('UPLOAD', 0)).toBe(0);
  expect(overallFraction('VALIDATION', 0)).toBe(overallFraction('UPLOAD', 1));
  expect(overallFraction('VALIDATION', 1)).toBeCloseTo(STORED_FRACTION);
  expect(STORED_FRACTION).toBeLessThan(1);
  const stage = fc.constantFrom('UPLOAD' as const, 'VALIDATION' as const);
  const any = fc.double({ min: -2, max: 2, noNaN: true });
  fc.assert(
    fc.property(stage, any, any, (name, a, b) => {
      const [less, more] = [overallFraction(name, Math.min(a, b)), overallFraction(name, Math.max(a, b))];
      expect(less).toBeLessThanOrEqual(more);
      expect(less).toBeGreaterThanOrEqual(0);
      expect(more).toBeLessThan(1);
    }),
  );
});
