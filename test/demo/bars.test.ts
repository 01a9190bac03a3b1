import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from 'vitest';
import type { BarRow } from '../../src/demo/bars.ts';
import { drawBars } from '../../src/demo/bars.ts';
import { createPalette, fitWidth, formatBytes, printable } from '../../src/demo/format.ts';
import type { VideoState } from '../../src/demo/view.ts';

const state = (over: Partial<VideoState> = {}): VideoState => ({
  status: 'WAITING',
  fraction: 0,
  bytesPerSecond: null,
  bytesTotal: null,
  code: null,
  message: null,
  metadata: null,
  ...over,
});
const row = (name: string, over: Partial<VideoState> = {}): BarRow => ({ name, state: state(over) });
const space = (columns: number, rows = 24) => ({ columns, rows, palette: createPalette(false) });

describe('drawBars', () => {
  test('shows name, bar, percentage, status and speed', () => {
    const lines = drawBars(
      [row('harbour.mp4', { status: 'UPLOADING', fraction: 0.5, bytesPerSecond: 1_500_000 })],
      space(80),
    );
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^harbour\.mp4 █+░+ {2}50% uploading {2}1\.5 MB\/s$/);
    const [full = '', empty = ''] = /(█+)(░+)/.exec(lines[0] ?? '')?.slice(1) ?? [];
    expect(Math.abs(full.length - empty.length)).toBeLessThanOrEqual(1);
  });

  test('a video that was refused shows its code', () => {
    const lines = drawBars([row('a.mp4', { status: 'REJECTED', code: 'VIDEO_FILE_BROKEN' })], space(100));
    expect(lines[0]).toContain('rejected   VIDEO_FILE_BROKEN');
  });

  test('is full only at the very end', () => {
    expect(drawBars([row('a', { status: 'INDEXING', fraction: 0.999 })], space(80))[0]).toContain(' 99%');
    expect(drawBars([row('a', { status: 'READY', fraction: 1 })], space(80))[0]).toMatch(/█ 100%/);
  });

  test.each([40, 60, 80, 120, 200])('no line is wider than a terminal of %d columns', (columns) => {
    const long = 'a-name-that-is-much-longer-than-there-is-any-room-for.mp4';
    const rows = [
      row(long, { status: 'FAILED', code: 'VIDEO_RESOLUTION_INVALID_ASPECT_RATIO', fraction: 2 }),
    ];
    const coloured = { columns, rows: 24, palette: createPalette(true) };
    for (const line of drawBars(rows, coloured)) {
      expect([...stripVTControlCharacters(line)].length).toBeLessThan(columns);
    }
  });

  test('what moves is drawn before what has ended when there are too few lines', () => {
    const rows = [
      row('done-1', { status: 'READY', fraction: 1 }),
      row('moving', { status: 'UPLOADING', fraction: 0.2 }),
      row('done-2', { status: 'READY', fraction: 1 }),
      row('waiting'),
      row('late', { status: 'INDEXING', fraction: 0.9 }),
    ];
    const lines = drawBars(rows, space(80, 5));
    expect(lines).toHaveLength(4);
    expect(lines.map((line) => line.split(' ')[0])).toEqual(['moving', 'waiting', 'late', '…']);
    expect(lines[3]).toBe('… and 2 more');
  });

  test('a name cannot move the cursor', () => {
    expect(drawBars([row('a\u001b[2Jb\nc')], space(80)).join('')).not.toMatch(/\p{Cc}/u);
  });
});

test.each([
  [0, '0 bytes'],
  [999, '999 bytes'],
  [1000, '1.0 kB'],
  [7_903_529, '7.9 MB'],
  [2_147_483_648, '2.1 GB'],
])('%d bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test('text is filled up or cut to a width', () => {
  expect([fitWidth('abc', 5), fitWidth('abcdef', 4), fitWidth('ü😀x', 3), fitWidth('abc', 0)]).toEqual([
    'abc  ',
    'abc…',
    'ü😀x',
    '',
  ]);
});

test('control characters become spaces', () => {
  expect(printable('a\u0007\u001bb\u0085c')).toBe('a b c');
});
