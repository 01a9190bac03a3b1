import type { AnalyzerOptions, Branch } from './analyzer.ts';
import { type StillFiles, writeStill } from './encode-still.ts';
import { everyFilter } from './sampling.ts';
import { fittedSize, shownPictureFilters } from './shown-picture.ts';
import { resize, type Still, toStill } from './still.ts';
import { scoreStill } from './still-score.ts';

const POSTER_SIDE = 1280;
const THUMBNAIL_SIDE = 640;
const MOST_THUMBNAILS = 10;
/** Of so many pictures in its part of the film a thumbnail is the best. */
const CANDIDATES = 3;
/** By how much a picture in the middle of its part may be worse. */
const MIDDLE_BONUS = 1.1;

interface Choice {
  readonly still: Still;
  readonly score: number;
}

/** Chooses a poster for the film, and a thumbnail for each of up to ten parts of it. */
export interface BestPictures {
  readonly branch: Branch;
  /** Writes what is left to be written. */
  finish(): Promise<{ readonly poster: string | null; readonly thumbnails: readonly string[] }>;
}

/** Looks at three pictures of each part; only the best of all and the best of the part are kept. */
export function createBestPictures({ facts, folder, settings }: AnalyzerOptions): BestPictures {
  const files: StillFiles = { folder, format: settings.pictureFormat };
  const parts = Math.max(1, Math.min(MOST_THUMBNAILS, Math.floor(facts.duration)));
  const partLength = facts.duration / parts;
  const step = partLength / CANDIDATES;
  const thumbnails: string[] = [];
  let best: Choice | null = null;
  let bestOfPart: Choice | null = null;
  let part = 0;

  async function endPart(): Promise<void> {
    if (!bestOfPart) return;
    const small = resize(bestOfPart.still, fittedSize(facts, THUMBNAIL_SIDE));
    bestOfPart = null;
    thumbnails.push(await writeStill(small, `pictures/thumbnail-${thumbnails.length + 1}`, files));
  }

  return {
    branch: {
      filters: [
        everyFilter(step, step / 2),
        shownPictureFilters(facts, { longSide: POSTER_SIDE, format: settings.pictureFormat }),
      ].join(','),
      async onFrame(frame, at) {
        const due = Math.min(parts - 1, Math.floor(at / partLength));
        if (due !== part) await endPart();
        part = due;
        const still = toStill(frame);
        const score = scoreStill(still);
        const middle = Math.abs(at / partLength - part - 0.5) < 0.25;
        const weighted = score * (middle ? MIDDLE_BONUS : 1);
        if (!best || score > best.score) best = { still, score };
        if (!bestOfPart || weighted > bestOfPart.score) bestOfPart = { still, score: weighted };
      },
    },
    async finish() {
      await endPart();
      return { poster: best && (await writeStill(best.still, 'pictures/poster', files)), thumbnails };
    },
  };
}
