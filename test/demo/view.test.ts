import { describe, expect, test } from 'vitest';
import type { DemoEvent } from '../../src/demo/documents.ts';
import type { ImportView } from '../../src/demo/view.ts';
import { applyEvent, EMPTY_VIEW, hasEnded, videoStates, viewOfAnswer } from '../../src/demo/view.ts';
import { event, failedFile, importState, task } from './fixtures.ts';

const viewAfter = (events: readonly DemoEvent[], from: ImportView = EMPTY_VIEW) =>
  events.reduce(applyEvent, from);

describe('applyEvent', () => {
  test('gathers a snapshot of several events', () => {
    const view = viewAfter([
      event({ snapshot: true, changed: [task('a')] }),
      event({ snapshot: true, changed: [task('b')], rejected: [failedFile('c', 'VIDEO_FILE_BROKEN')] }),
    ]);
    expect([...view.tasks.keys()]).toEqual(['task_a', 'task_b']);
    expect([...view.rejected.keys()]).toEqual(['file_c']);
  });

  test('a change replaces the task that it names and leaves the others', () => {
    const view = viewAfter([
      event({ snapshot: true, changed: [task('a'), task('b')] }),
      event({ changed: [task('b', { status: 'READY' })] }),
    ]);
    expect([...view.tasks.values()].map((each) => each.status)).toEqual(['PENDING', 'READY']);
  });

  test('a snapshot that begins after changes forgets what was known', () => {
    const view = viewAfter([
      event({ snapshot: true, changed: [task('a'), task('b')], rejected: [failedFile('c', 'INTERNAL')] }),
      event({ changed: [task('a', { status: 'UPLOADING' })] }),
      event({ snapshot: true, changed: [task('b', { status: 'READY' })] }),
    ]);
    expect([...view.tasks.values()].map((each) => [each.fileName, each.status])).toEqual([['b', 'READY']]);
    expect(view.rejected.size).toBe(0);
  });

  test('leaves the view that it was given as it was', () => {
    const before = viewAfter([event({ snapshot: true, changed: [task('a')] })]);
    applyEvent(before, event({ changed: [task('b')], import: importState(true) }));
    expect([...before.tasks.keys()]).toEqual(['task_a']);
    expect(before.import?.finished).toBe(false);
  });
});

describe('videoStates', () => {
  test('tells tasks, rejected files and those that nothing is known of apart', () => {
    const view = viewAfter([
      event({
        changed: [
          task('up', {
            status: 'UPLOADING',
            progress: { fraction: 0.4, bytesDone: 4, bytesTotal: 10, bytesPerSecond: 2 },
          }),
        ],
        rejected: [failedFile('small', 'VIDEO_RESOLUTION_TOO_LOW')],
      }),
    ]);
    const states = videoStates(view, ['up', 'small', 'unknown']);
    expect(states.get('up')).toMatchObject({ status: 'UPLOADING', fraction: 0.4, bytesPerSecond: 2 });
    expect(states.get('small')).toMatchObject({ status: 'REJECTED', code: 'VIDEO_RESOLUTION_TOO_LOW' });
    expect(states.get('unknown')).toMatchObject({ status: 'WAITING', fraction: 0, code: null });
  });

  test('a skipped video has the reason of its skip, a failed one the code of its error', () => {
    const error = { code: 'SOURCE_NOT_FOUND', message: 'There is nothing.' };
    const view = viewAfter([
      event({
        changed: [
          task('same', { status: 'SKIPPED', skipReason: 'SAME_CONTENT', reason: 'The index has it.' }),
          task('gone', { status: 'FAILED', error, reason: error.message }),
        ],
      }),
    ]);
    const states = videoStates(view, []);
    expect(states.get('same')).toMatchObject({ code: 'SAME_CONTENT', message: 'The index has it.' });
    expect(states.get('gone')).toMatchObject({ code: 'SOURCE_NOT_FOUND', message: 'There is nothing.' });
  });
});

test('the answer to startImport is a view as well', () => {
  const view = viewOfAnswer({
    ...importState(),
    tasks: { nodes: [task('a')] },
    failedFiles: { nodes: [failedFile('b', 'SOURCE_NOT_FOUND')] },
  });
  expect([view.tasks.size, view.rejected.size, view.import?.id]).toEqual([1, 1, 'imp_1']);
});

test.each([
  ['PENDING', false],
  ['INDEXING', false],
  ['READY', true],
  ['SKIPPED', true],
  ['FAILED', true],
  ['CANCELED', true],
  ['REJECTED', true],
])('%s has ended: %s', (status, ended) => {
  expect(hasEnded(status)).toBe(ended);
});
