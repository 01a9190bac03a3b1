import type { Palette } from './format.ts';
import { fitWidth, formatBytes, printable } from './format.ts';
import type { VideoState } from './view.ts';
import { hasEnded } from './view.ts';

/** One line to be drawn: a video under the name that people know it by. */
export interface BarRow {
  readonly name: string;
  readonly state: VideoState;
}

/** The space that there is, in columns and lines, and the colours. */
export interface BarSpace {
  readonly columns: number;
  readonly rows: number;
  readonly palette: Palette;
}

const STATUS_WIDTH = 10;
const PERCENT_WIDTH = 4;
const MIN_NAME_WIDTH = 10;
const MAX_NAME_WIDTH = 26;
const MIN_BAR_WIDTH = 8;
const MAX_BAR_WIDTH = 32;

/**
 * The lines of all bars, none wider than the space and together no more than its rows: videos that move are drawn
 * before those that wait and those that have ended.
 */
export function drawBars(rows: readonly BarRow[], space: BarSpace): readonly string[] {
  const room = Math.max(1, space.rows - 1);
  const layout = measure(rows, space.columns);
  if (rows.length <= room) return rows.map((row) => drawBar(row, layout, space.palette));
  const chosen = new Set([...rows].sort((a, b) => urgency(a.state) - urgency(b.state)).slice(0, room - 1));
  const lines = rows.filter((row) => chosen.has(row)).map((row) => drawBar(row, layout, space.palette));
  const hidden = `… and ${rows.length - chosen.size} more`;
  return [...lines, fitWidth(hidden, Math.min(hidden.length, space.columns))];
}

/** Moving videos first, then waiting ones, then those that have ended. */
function urgency({ status, fraction }: VideoState): number {
  if (hasEnded(status)) return 2;
  return fraction > 0 || status !== 'WAITING' ? 0 : 1;
}

interface Layout {
  readonly name: number;
  readonly bar: number;
  readonly note: number;
}

/** Shares a line: the name and the bar shrink before the note at the end goes. */
function measure(rows: readonly BarRow[], columns: number): Layout {
  const longest = Math.max(MIN_NAME_WIDTH, ...rows.map((row) => [...row.name].length));
  // Between the five parts there are four spaces; the last column stays free, or some terminals wrap.
  const room = columns - 1 - 4 - STATUS_WIDTH - PERCENT_WIDTH;
  const name = clamp(Math.floor(room * 0.35), MIN_NAME_WIDTH, Math.min(longest, MAX_NAME_WIDTH));
  const bar = clamp(Math.floor((room - name) * 0.5), MIN_BAR_WIDTH, MAX_BAR_WIDTH);
  return { name, bar, note: Math.max(0, room - name - bar) };
}

function clamp(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(value, high));
}

function drawBar({ name, state }: BarRow, layout: Layout, palette: Palette): string {
  const full = Math.round(layout.bar * Math.max(0, Math.min(state.fraction, 1)));
  const bar = `${'█'.repeat(full)}${'░'.repeat(layout.bar - full)}`;
  const percent = `${Math.floor(state.fraction * 100)}%`.padStart(PERCENT_WIDTH);
  const paint = colourOf(state.status, palette);
  const parts = [
    fitWidth(printable(name), layout.name),
    paint(bar),
    percent,
    paint(fitWidth(state.status.toLowerCase(), STATUS_WIDTH)),
  ];
  const note = layout.note > 0 ? palette.dim(fitWidth(printable(noteOf(state)), layout.note).trimEnd()) : '';
  return [...parts, note].join(' ').trimEnd();
}

function noteOf(state: VideoState): string {
  if (state.status === 'READY' && state.metadata !== null) {
    return `${state.metadata.width}x${state.metadata.height} ${state.metadata.videoCodec}`;
  }
  if (state.code !== null) return state.code;
  if (state.bytesPerSecond !== null) return `${formatBytes(state.bytesPerSecond)}/s`;
  return state.bytesTotal === null || hasEnded(state.status) ? '' : formatBytes(state.bytesTotal);
}

/** The colour of a status: how it ended, or that it moves. */
function colourOf(status: string, palette: Palette): (text: string) => string {
  if (status === 'READY') return palette.green;
  if (status === 'SKIPPED') return palette.yellow;
  if (status === 'FAILED' || status === 'REJECTED' || status === 'CANCELED') return palette.red;
  return status === 'WAITING' || status === 'PENDING' ? palette.dim : palette.cyan;
}
