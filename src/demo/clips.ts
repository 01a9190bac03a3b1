import { copyFile, mkdir, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { startClipEncoder } from './clip-encoder.ts';
import type { ClipSpec } from './clip-spec.ts';
import { CLIP_DEFAULTS } from './clip-spec.ts';

export { ClipError } from './clip-encoder.ts';
export type { ClipSpec } from './clip-spec.ts';

/** A clip and the name of its file, without the extension: that is the container's. */
export interface NamedClipSpec extends ClipSpec {
  readonly name: string;
}

/** How clips are made. */
export interface MakeClipsOptions {
  readonly signal?: AbortSignal;
  /** How many are encoded at once, each in a process of its own; 2 unless given. */
  readonly children?: number;
  /** Called as each file is ready. */
  readonly onMade?: (name: string, path: string) => void;
}

/**
 * Encodes clips into a folder, which is made if it is missing. No media is encoded in the calling process.
 * @returns each clip's path by its name.
 * @throws {ClipError} for the first clip that cannot be made; the rest is given up.
 * @throws the signal's reason when it is aborted.
 */
export async function makeClips(
  specs: readonly NamedClipSpec[],
  folder: string,
  options: MakeClipsOptions = {},
): Promise<ReadonlyMap<string, string>> {
  await mkdir(folder, { recursive: true });
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  const waiting = [...specs];
  const paths = new Map<string, string>();
  const work = async (): Promise<void> => {
    const encoder = startClipEncoder();
    try {
      for (let spec = waiting.shift(); spec !== undefined; spec = waiting.shift()) {
        const path = join(folder, clipFileName(spec));
        await encoder.encode({ spec, path }, signal);
        paths.set(spec.name, path);
        options.onMade?.(spec.name, path);
      }
    } catch (error) {
      stop.abort(error);
    } finally {
      await encoder.close();
    }
  };
  await Promise.all(Array.from({ length: Math.min(options.children ?? 2, specs.length) }, work));
  // The reason is the first failure's, or the caller's own.
  signal.throwIfAborted();
  return paths;
}

/**
 * Encodes one clip to a path, whatever the path's extension says.
 * @throws {ClipError} when FFmpeg cannot make it.
 * @throws the signal's reason when it is aborted.
 */
export async function makeClip(spec: ClipSpec, path: string, signal?: AbortSignal): Promise<void> {
  const encoder = startClipEncoder();
  try {
    await encoder.encode({ spec, path }, signal);
  } finally {
    await encoder.close();
  }
}

/**
 * Copies the first part of a file: what a broken-off upload leaves.
 * @param fraction how much of it, 0 to 1.
 */
export async function makeTruncatedCopy(from: string, to: string, fraction: number): Promise<void> {
  await copyFile(from, to);
  const { size } = await stat(to);
  await truncate(to, Math.floor(size * fraction));
}

/** The name of the file that `makeClips` writes for a specification. */
export function clipFileName(spec: NamedClipSpec): string {
  return `${spec.name}.${spec.container ?? CLIP_DEFAULTS.container}`;
}
