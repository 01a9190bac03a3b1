import type { DemoFailedFile } from './documents.ts';
import type { Palette } from './format.ts';
import { fitWidth, formatBytes, printable } from './format.ts';
import type { Verdict } from './verdict.ts';
import type { ImportView, VideoState } from './view.ts';

const NAME_WIDTH = 20;

/** What startImport answered at once: how many are on their way, and each file that will not come in, with the reason. */
export function reportAnswer(view: ImportView, milliseconds: number, palette: Palette): readonly string[] {
  const rejected = [...view.rejected.values()];
  const skipped = [...view.tasks.values()].filter((task) => task.status === 'SKIPPED').length;
  const accepted = view.tasks.size - skipped;
  const counts = [`${accepted} will be imported`, `${rejected.length} will not`];
  if (skipped > 0) counts.push(`${skipped} skipped`);
  return [
    `The server answered after ${(milliseconds / 1000).toFixed(1)} s: ${palette.bold(counts.join(', '))}.`,
    ...rejected.map((file) => rejectedLine(file, palette)),
  ];
}

function rejectedLine({ fileName, error }: DemoFailedFile, palette: Palette): string {
  return `  ${palette.red('✗')} ${fitWidth(printable(fileName), NAME_WIDTH)} ${error.code}`;
}

/** The lists at the end: what came in, what was skipped and what did not come in, with reasons, and the verdict. */
export function reportOutcomes(verdicts: readonly Verdict[], palette: Palette): readonly string[] {
  const cameIn = verdicts.filter(({ state }) => state.status === 'READY');
  const skipped = verdicts.filter(({ state }) => state.status === 'SKIPPED');
  const others = verdicts.filter(({ state }) => !['READY', 'SKIPPED'].includes(state.status));
  const unmet = verdicts.filter((verdict) => !verdict.asExpected);
  return [
    ...section(`Came in (${cameIn.length})`, cameIn, palette),
    ...section(`Skipped (${skipped.length})`, skipped, palette),
    ...section(`Did not come in (${others.length})`, others, palette),
    '',
    unmet.length === 0
      ? palette.green(palette.bold(`All ${verdicts.length} clips ended as expected.`))
      : palette.red(palette.bold(`${unmet.length} of ${verdicts.length} clips did not end as expected.`)),
  ];
}

function section(title: string, verdicts: readonly Verdict[], palette: Palette): readonly string[] {
  if (verdicts.length === 0) return [];
  return ['', palette.bold(title), ...verdicts.flatMap((verdict) => outcomeLines(verdict, palette))];
}

function outcomeLines({ clip, state, asExpected, expected }: Verdict, palette: Palette): readonly string[] {
  const name = fitWidth(clip.fileName, NAME_WIDTH);
  const lines = [`  ${mark(state, palette)} ${name} ${figuresOf(state) ?? state.code ?? state.status}`];
  const indent = ' '.repeat(NAME_WIDTH + 5);
  if (state.status === 'READY') lines[0] += palette.dim(`  (${clip.about})`);
  else if (state.message !== null) lines.push(indent + palette.dim(printable(state.message)));
  if (!asExpected) lines.push(indent + palette.red(`expected: ${expected}; it is ${describe(state)}`));
  return lines;
}

function mark({ status }: VideoState, palette: Palette): string {
  if (status === 'READY') return palette.green('✓');
  return status === 'SKIPPED' ? palette.yellow('–') : palette.red('✗');
}

function figuresOf({ status, metadata }: VideoState): string | null {
  if (status !== 'READY' || metadata === null) return null;
  const codecs = [metadata.videoCodec, metadata.audioCodec ?? 'no sound'].join('/');
  return [
    fitWidth(`${metadata.width}x${metadata.height}`, 9),
    fitWidth(codecs, 16),
    `${metadata.duration.toFixed(1)} s`.padStart(7),
    formatBytes(metadata.size).padStart(9),
  ].join(' ');
}

function describe({ status, code }: VideoState): string {
  return code === null ? status : `${status} ${code}`;
}
