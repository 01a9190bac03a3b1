import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import { createPalette } from '../../src/demo/format.ts';
import type { Output } from '../../src/demo/painter.ts';
import { createPainter } from '../../src/demo/painter.ts';
import { applyEvent, EMPTY_VIEW, videoStates } from '../../src/demo/view.ts';
import { event, failedFile, task } from './fixtures.ts';

const rowsOf = (...statuses: readonly (readonly [string, string])[]) => {
  const changed = statuses.map(([name, status]) => task(name, { status }));
  const view = applyEvent(EMPTY_VIEW, event({ changed, rejected: [failedFile('bad', 'VIDEO_FILE_BROKEN')] }));
  return [...videoStates(view, ['a', 'b', 'bad'])].map(([name, state]) => ({ name, state }));
};

const terminal = (over: Partial<Output>) => {
  const written: string[] = [];
  return { written, out: { write: (text: string) => written.push(text), ...over } satisfies Output };
};

test('away from a terminal there is one line for each change of a status, and nothing else', () => {
  const { written, out } = terminal({});
  const painter = createPainter(out, createPalette(false));
  painter.paint(rowsOf(['a', 'UPLOADING']));
  painter.paint(rowsOf(['a', 'UPLOADING'], ['b', 'PENDING']));
  painter.paint(rowsOf(['a', 'READY'], ['b', 'PENDING']));
  painter.close();
  expect(written.map((line) => line.replace(/^ *[\d.]+ s {2}/, ''))).toEqual([
    'a  UPLOADING\n',
    'bad  REJECTED VIDEO_FILE_BROKEN\n',
    'b  PENDING\n',
    'a  READY\n',
  ]);
  expect(written.join('')).not.toContain('\u001b');
});

test('on a terminal the last picture is drawn, in place, and the cursor is given back', async () => {
  const { written, out } = terminal({ isTTY: true, columns: 80, rows: 24 });
  const painter = createPainter(out, createPalette(true));
  painter.paint(rowsOf(['a', 'UPLOADING']));
  await expect.poll(() => written.length).toBe(1);
  painter.paint(rowsOf(['a', 'INDEXING']));
  painter.paint(rowsOf(['a', 'READY'], ['b', 'FAILED']));
  painter.close();
  const [first = '', second = '', last = ''] = written;
  expect(stripVTControlCharacters(first).split('\n')).toHaveLength(4);
  // Three lines up, over the first picture; the one between was never drawn.
  expect(second).toContain('\u001b[3A');
  expect(second).not.toContain('indexing');
  expect(stripVTControlCharacters(second)).toMatch(/ready[\s\S]*failed[\s\S]*rejected/);
  expect(last).toBe('\u001b[?25h');
});

test('nothing is drawn when nothing was painted', () => {
  const { written, out } = terminal({ isTTY: true });
  createPainter(out, createPalette(true)).close();
  expect(written).toEqual(['\u001b[?25h']);
});
