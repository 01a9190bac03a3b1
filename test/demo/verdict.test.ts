import { describe, expect, test } from 'vitest';
import type { DemoClip } from '../../src/demo/demo-clips.ts';
import { DEMO_CLIPS } from '../../src/demo/demo-clips.ts';
import { createPalette } from '../../src/demo/format.ts';
import { reportAnswer, reportOutcomes } from '../../src/demo/report.ts';
import { judge } from '../../src/demo/verdict.ts';
import { applyEvent, EMPTY_VIEW, videoStates } from '../../src/demo/view.ts';
import { event, failedFile, task } from './fixtures.ts';

const CLIPS: readonly DemoClip[] = [
  { fileName: 'good', about: 'a good one', expected: { end: 'in' } },
  { fileName: 'small', about: 'a small one', expected: { end: 'out', code: 'VIDEO_RESOLUTION_TOO_LOW' } },
  { fileName: 'left', about: 'one of two', expected: { end: 'one-of-two', twin: 'right' } },
  { fileName: 'right', about: 'one of two', expected: { end: 'one-of-two', twin: 'left' } },
];

const READY = { status: 'READY' };
const SAME = { status: 'SKIPPED', skipReason: 'SAME_CONTENT' };
const tooSmall = failedFile('small', 'VIDEO_RESOLUTION_TOO_LOW');

const verdictsAfter = (over: Parameters<typeof event>[0]) =>
  judge(
    CLIPS,
    videoStates(
      applyEvent(EMPTY_VIEW, event(over)),
      CLIPS.map((clip) => clip.fileName),
    ),
  );
const met = (over: Parameters<typeof event>[0]) => verdictsAfter(over).map((verdict) => verdict.asExpected);

describe('judge', () => {
  test.each([
    [READY, SAME],
    [SAME, READY],
  ])('of two with the same content either may be the one that comes in', (left, right) => {
    const changed = [task('good', READY), task('left', left), task('right', right)];
    expect(met({ changed, rejected: [tooSmall] })).toEqual([true, true, true, true]);
  });

  test('both of them in, or neither, is not as expected', () => {
    expect(met({ changed: [task('left', READY), task('right', READY)] }).slice(2)).toEqual([false, false]);
    expect(met({ changed: [task('left', SAME), task('right', SAME)] }).slice(2)).toEqual([false, false]);
  });

  test('a refusal counts at planning and later, with the right code only', () => {
    const error = { code: 'VIDEO_RESOLUTION_TOO_LOW', message: '' };
    expect(met({ changed: [task('small', { status: 'FAILED', error })] })[1]).toBe(true);
    expect(met({ rejected: [failedFile('small', 'VIDEO_FILE_BROKEN')] })[1]).toBe(false);
    expect(met({ changed: [task('small', READY)] })[1]).toBe(false);
  });

  test('a clip that nothing is known of, and one that still runs, are not as expected', () => {
    expect(met({})).toEqual([false, false, false, false]);
    expect(met({ changed: [task('good', { status: 'INDEXING' })] })[0]).toBe(false);
  });
});

describe('the report', () => {
  test('names what came in, what was skipped and what did not come in, with the reasons', () => {
    const systemMetadata = {
      duration: 8,
      width: 1920,
      height: 1080,
      size: 8_509_530,
      container: 'mp4',
      videoCodec: 'h264',
      audioCodec: null,
      rotation: 0,
    };
    const changed = [
      task('good', { ...READY, systemMetadata }),
      task('left', READY),
      task('right', { ...SAME, reason: 'The index holds the same content.' }),
    ];
    const lines = reportOutcomes(verdictsAfter({ changed, rejected: [tooSmall] }), createPalette(false));
    expect(lines).toEqual([
      '',
      'Came in (2)',
      '  ✓ good                 1920x1080 h264/no sound      8.0 s    8.5 MB  (a good one)',
      '  ✓ left                 READY  (one of two)',
      '',
      'Skipped (1)',
      '  – right                SAME_CONTENT',
      '                         The index holds the same content.',
      '',
      'Did not come in (1)',
      '  ✗ small                VIDEO_RESOLUTION_TOO_LOW',
      '                         VIDEO_RESOLUTION_TOO_LOW, in words.',
      '',
      'All 4 clips ended as expected.',
    ]);
  });

  test('says what was expected where something else came', () => {
    const text = reportOutcomes(
      verdictsAfter({ changed: [task('small', READY)] }),
      createPalette(false),
    ).join('\n');
    expect(text).toContain('expected: VIDEO_RESOLUTION_TOO_LOW; it is READY');
    expect(text).toContain('4 of 4 clips did not end as expected.');
  });

  test('the first answer is told in numbers, and by name where a file is refused', () => {
    const view = applyEvent(
      EMPTY_VIEW,
      event({ changed: [task('good'), task('left', SAME)], rejected: [tooSmall] }),
    );
    expect(reportAnswer(view, 1_234, createPalette(false))).toEqual([
      'The server answered after 1.2 s: 1 will be imported, 1 will not, 1 skipped.',
      '  ✗ small                VIDEO_RESOLUTION_TOO_LOW',
    ]);
  });
});

test('every clip of the demo has a name of its own, and twins name each other', () => {
  const names = DEMO_CLIPS.map((clip) => clip.fileName);
  expect(new Set(names).size).toBe(names.length);
  expect(names.length).toBeGreaterThanOrEqual(12);
  const twins = new Map(
    DEMO_CLIPS.flatMap(({ fileName, expected }) =>
      expected.end === 'one-of-two' ? [[fileName, expected.twin]] : [],
    ),
  );
  expect(twins.size).toBe(2);
  for (const [name, twin] of twins) expect(twins.get(twin)).toBe(name);
});
