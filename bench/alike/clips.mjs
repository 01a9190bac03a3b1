import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import '../plan/typescript.mjs';

const { encodeFilterClip } = await import('../../test/media/support/filter-clip.ts');
const { variedPicture } = await import('../../test/media/support/varied-clips.ts');

/** What is made of each clip. */
export const COPIES = ['compressed', 'halved', 'cut'];

const copyOf = (copy, { number, seconds, original }) => {
  const cut = seconds / 10;
  const end = number % 2 === 0 ? `start=${cut}` : `end=${seconds - cut}`;
  return {
    compressed: { filters: `movie=${original}`, crf: 35 },
    halved: { filters: `movie=${original},scale=iw/2:ih/2` },
    cut: { filters: `movie=${original},trim=${end},setpts=PTS-STARTPTS` },
  }[copy];
};

/**
 * Encodes as many clips as are asked for with their copies, and as many more without; those that the folder has are kept.
 * @returns the path, the number and the copy of each
 */
export async function makeAlikeClips({ folder, count, seconds }, tell) {
  const clips = [];
  for (let number = 0; number < 2 * count; number++) {
    const original = join(folder, `${number}-original.mp4`);
    await make(original, { filters: variedPicture(number, seconds) });
    clips.push({ path: original, number, copy: 'original' });
    for (const copy of number < count ? COPIES : []) {
      const path = join(folder, `${number}-${copy}.mp4`);
      await make(path, copyOf(copy, { number, seconds, original }));
      clips.push({ path, number, copy });
    }
    if (number % 10 === 9) tell(`${number + 1} of ${2 * count} clips are there`);
  }
  return clips;
}

async function make(path, clip) {
  const known = await stat(path).catch(() => null);
  if (known === null || known.size === 0) await encodeFilterClip(path, clip);
}
