import { lstat, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import type { Product, ProductOutcome } from './products.ts';

/** A product that was made, as a child claims it. */
export type Made = Extract<ProductOutcome, { readonly result: object }>;

/** Where the files of a product are, below the folder of the work. */
export const FOLDERS: Readonly<Partial<Record<Product, string>>> = {
  STREAM: 'stream',
  THUMBNAILS: 'pictures',
  SCENES: 'scenes',
};

/** Headers may be wrong about how long a file is: its pictures may go on for as long again, and a minute. */
const latestEnd = (duration: number) => 2 * duration + 60;

/**
 * What cannot be right about a product, or null: times out of order or after the end, files that are not there, that are no plain
 * files, or that are not where they belong. The shape of it is known to be right.
 * @param work.duration of the file, in seconds
 */
export async function findLie(
  made: Made,
  work: { readonly folder: string; readonly duration: number },
): Promise<string | null> {
  const wrong = wrongFigure(made, latestEnd(work.duration));
  if (wrong !== null) return wrong;
  const folder = FOLDERS[made.product];
  const root = await realpath(work.folder);
  for (const file of new Set(filesOf(made))) {
    if (folder === undefined || !file.startsWith(`${folder}/`)) return `${file} is not where it belongs`;
    if (!(await isPlainFile(root, file))) return `${file} is no file`;
  }
  return null;
}

function filesOf(made: Made): readonly string[] {
  if (made.product === 'STREAM') return [made.result.playlist];
  if (made.product === 'THUMBNAILS')
    return [made.result.poster, made.result.storyboard, ...made.result.thumbnails];
  if (made.product === 'SCENES') return made.result.scenes.flatMap(({ thumbnail }) => thumbnail ?? []);
  return [];
}

function wrongFigure(made: Made, end: number): string | null {
  if (made.product === 'SCENES') {
    const { scenes } = made.result;
    const isSound = scenes.every(
      (scene, at) => scene.start < scene.end && startsAtEnd(scene, scenes[at - 1]),
    );
    return isSound && (scenes.at(-1)?.end ?? 0) <= end ? null : 'scenes that do not follow each other';
  }
  if (made.product === 'FINGERPRINT') {
    const times = made.result.frames.map(({ at }) => at);
    const isSound = times.every((time, at) => time <= end && time >= (times[at - 1] ?? 0));
    return isSound ? null : 'pictures of a fingerprint that are out of order';
  }
  if (made.product === 'QUALITY') {
    const names = made.result.metrics.map(({ name }) => name);
    return new Set(names).size === names.length ? null : 'two metrics of one name';
  }
  return null;
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/** Without a gap that anybody would see: both may be rounded. */
const startsAtEnd = ({ start }: Span, before: Span | undefined) =>
  before === undefined ? start <= 1 : Math.abs(start - before.end) < 0.01;

/** A link on the way, or at its end, may lead anywhere. */
async function isPlainFile(root: string, file: string): Promise<boolean> {
  const path = join(root, file);
  try {
    const found = await lstat(path);
    return found.isFile() && found.size > 0 && (await realpath(path)) === path;
  } catch {
    return false;
  }
}
