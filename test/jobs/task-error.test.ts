import { expect, test } from 'vitest';
import type { Failure } from '../../src/jobs/handler.ts';
import { failureError } from '../../src/jobs/handlers/task-error.ts';

const failure = (change: Partial<Failure>): Failure => ({
  error: new Error('secret'),
  kind: 'UNEXPECTED',
  failures: 8,
  crashes: 0,
  final: true,
  ...change,
});

test('a task that ended its worker again and again, while alone, is told as crashed', () => {
  const told = failureError(failure({ kind: 'CRASH', crashes: 3 }));
  expect(told).toMatchObject({ code: 'PROCESSING_CRASHED', retryable: true });
});

test('a fault that nobody foresaw is INTERNAL: its id is told, and not what it says', () => {
  const told = failureError(failure({ errorId: 'id-of-the-log' }));
  expect(told).toMatchObject({ code: 'INTERNAL', retryable: true });
  expect(told.message).toContain('id-of-the-log');
  expect(told.message).not.toContain('secret');
});
