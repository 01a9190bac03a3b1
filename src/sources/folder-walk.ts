import { SourceError } from './errors.ts';
import { FOLDER_MARK, readEntries } from './folder-entries.ts';
import { nameless } from './folder-errors.ts';
import { isPassed, isSortedBehind, joinRaw, keyOf, type RawPath } from './folder-path.ts';

/** One step of a walk, at a path below the folder; that of a folder ends in `/`. */
export interface Step {
  readonly path: RawPath;
  /** Whether it belongs into the listing; otherwise it is but a place to go on from. */
  readonly isListed: boolean;
  /** Why it cannot come in, where that is known without a look at it. */
  readonly refusal: SourceError | null;
}

export interface WalkOptions {
  /** Real path of the folder. */
  readonly root: RawPath;
  /** Of the paths that are listed; folders that cannot hold any are not read. */
  readonly prefix: RawPath;
  /** The path that was passed last; null: none. */
  readonly after: RawPath | null;
}

/** A walk through a folder and all below it. It holds the names in the folders on its way, and nothing open. */
export interface Walk {
  /**
   * Goes one step on; null: there is nothing more. After an error the walk is of no use.
   * @throws {SourceError} when the folder cannot be read, or one below it cannot be at the moment
   * @throws the reason of the signal, when it aborts
   */
  next(signal: AbortSignal): Promise<Step | null>;
}

/** Where a walk stands in one folder. */
interface Level {
  readonly folder: RawPath;
  readonly entries: readonly string[];
  passed: number;
}

/**
 * Begins a walk, depth first, in the order of the bytes of the names. So it can go on from any path: what sorts behind
 * that comes, whatever came and went meanwhile.
 */
export function createWalk({ root, prefix, after }: WalkOptions): Walk {
  const levels: Level[] = [];
  let isBegun = false;

  /** Goes into a folder; tells why not, if it may not be read. */
  async function enter(folder: RawPath, signal: AbortSignal): Promise<SourceError | null> {
    const entries = await readEntries(root, { folder, signal });
    if (entries instanceof SourceError) return entries;
    levels.push({ folder, entries, passed: 0 });
    return null;
  }

  async function stepInto(path: RawPath, signal: AbortSignal): Promise<Step | null> {
    if (!path.startsWith(prefix) && !prefix.startsWith(path)) return null;
    if (after !== null && isPassed(path, after)) return null;
    const refusal = keyOf(path) === null ? nameless() : await enter(path, signal);
    return isNew(path) ? { path, isListed: refusal !== null, refusal } : null;
  }

  function stepOver(path: RawPath): Step | null {
    if (!path.startsWith(prefix) || !isNew(path)) return null;
    return { path, isListed: true, refusal: keyOf(path) === null ? nameless() : null };
  }

  const isNew = (path: RawPath) => after === null || isSortedBehind(path, after);

  return {
    async next(signal) {
      if (!isBegun) {
        const refusal = await enter('', signal);
        if (refusal !== null) throw refusal;
        isBegun = true;
      }
      for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
        const entry = level.entries[level.passed];
        level.passed += 1;
        if (entry === undefined) {
          levels.pop();
          continue;
        }
        const path = joinRaw(level.folder, entry);
        const step = path.endsWith(FOLDER_MARK)
          ? await stepInto(`${path.slice(0, -1)}/`, signal)
          : stepOver(path);
        if (step !== null) return step;
      }
      return null;
    },
  };
}
