import { SourceError } from './errors.ts';
import { findPlainFile, versionOfStats } from './folder-entry.ts';
import { errorOfFolder, isMissing, nameless } from './folder-errors.ts';
import { joinRaw, keyOf, type RawPath, realPathOf, substituteKey } from './folder-path.ts';
import { waitFor } from './folder-wait.ts';
import type { Step } from './folder-walk.ts';
import type { ListedObject } from './source.ts';

const AT_ONCE = 16;

interface DescribeOptions {
  readonly steps: readonly Step[];
  readonly signal: AbortSignal;
}

/**
 * Tells what a listing tells of the steps of a walk, without opening anything; what is gone by now is left out.
 * @throws {SourceError} when the folder does not answer at the moment
 * @throws the reason of the signal, when it aborts
 */
export async function describeAll(
  root: RawPath,
  { steps, signal }: DescribeOptions,
): Promise<ListedObject[]> {
  const objects: ListedObject[] = [];
  const isInPlace = createPlaceCheck(root);
  for (let from = 0; from < steps.length; from += AT_ONCE) {
    const batch = steps.slice(from, from + AT_ONCE).map((step) => describe(step, { root, isInPlace }));
    const described = await waitFor(Promise.all(batch), { signal });
    objects.push(...described.filter((object) => object !== null));
  }
  return objects;
}

/** What the listing tells of a step; null if there is nothing any more. */
async function describe(
  { path, refusal }: Step,
  { root, isInPlace }: { readonly root: RawPath; readonly isInPlace: PlaceCheck },
): Promise<ListedObject | null> {
  const key = keyOf(path);
  if (key === null) return refused(substituteKey(path), refusal ?? nameless());
  if (refusal !== null) return refused(key, refusal);
  try {
    if (!(await isInPlace(path))) return null;
    const { stats } = await findPlainFile(root, joinRaw(root, path));
    return { key, size: Number(stats.size), version: versionOfStats(stats) };
  } catch (error) {
    if (isMissing(error)) return null;
    const known = errorOfFolder(error, 'file');
    if (known instanceof SourceError && !known.retryable) return refused(key, known);
    throw known;
  }
}

type PlaceCheck = (path: RawPath) => Promise<boolean>;

/**
 * Makes the check whether the folder of a path is still where it was walked: once it has become a link, what is behind
 * must not be told of. It asks once for each folder.
 */
function createPlaceCheck(root: RawPath): PlaceCheck {
  const asked = new Map<RawPath, Promise<boolean>>();
  return (path) => {
    const end = path.lastIndexOf('/');
    const folder = end < 0 ? root : joinRaw(root, path.slice(0, end));
    const known = asked.get(folder) ?? realPathOf(folder).then((real) => real === folder);
    asked.set(folder, known);
    return known;
  };
}

const refused = (key: string, refusal: SourceError): ListedObject => ({
  key,
  size: 0,
  version: null,
  refusal,
});
