import type { CreateAnalyzer } from './analyzer.ts';
import { createCutDetector } from './cut-detector.ts';
import { everyFilter } from './sampling.ts';
import { createSceneList } from './scene-list.ts';
import { shownPictureFilters } from './shown-picture.ts';
import { type Still, toStill } from './still.ts';

const THUMBNAIL_SIDE = 320;
/** Seconds between two pictures that a scene's thumbnail is chosen of: the shortest scene has one. */
const STEP = 0.25;
/** What is left of a picture when cuts are looked for: so little that small things that move do not matter. */
const SEEN = 'scale=48:32:flags=area,format=yuv444p';

/**
 * Finds the scenes of a film: what lies between two hard cuts. A fade or a dissolve does not end a scene, nor
 * does a flash; a film without cuts is one scene.
 */
export const createScenesAnalyzer: CreateAnalyzer<'SCENES'> = ({ facts, folder, settings }) => {
  const detector = createCutDetector();
  const list = createSceneList({
    duration: facts.duration,
    files: { folder, format: settings.pictureFormat },
  });
  // Of which scene a picture is, is known when it is decided where that ends.
  const waiting: { readonly still: Still; readonly at: number }[] = [];

  function offerUntil(time: number): void {
    for (let first = waiting[0]; first && first.at < time; first = waiting[0]) {
      waiting.shift();
      list.offer(first.still, first.at);
    }
  }

  return {
    product: 'SCENES',
    branches: [
      {
        filters: SEEN,
        async onFrame(frame, at) {
          for (const cut of detector.push(frame.toBuffer(), at)) {
            offerUntil(cut.at);
            await list.cut(cut);
          }
          offerUntil(detector.decidedUntil);
        },
      },
      {
        filters: [
          everyFilter(STEP),
          shownPictureFilters(facts, { longSide: THUMBNAIL_SIDE, format: settings.pictureFormat }),
        ].join(','),
        onFrame: (frame, at) => {
          waiting.push({ still: toStill(frame), at });
        },
      },
    ],
    finish() {
      offerUntil(Number.POSITIVE_INFINITY);
      return list.finish();
    },
  };
};
