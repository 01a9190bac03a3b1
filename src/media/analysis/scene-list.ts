import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProductResults } from '../products.ts';
import type { Cut } from './cut-detector.ts';
import { type StillFiles, writeStill } from './encode-still.ts';
import type { Still } from './still.ts';
import { scoreStill } from './still-score.ts';

/** Scenes in order, each with the picture that stands for it. */
export interface SceneList {
  /** Takes a picture that may stand for the scene that is open; in order of time. */
  offer(still: Still, at: number): void;
  /** Ends the scene that is open, and begins the next; a cut too close to the one before is none. */
  cut(cut: Cut): Promise<void>;
  /** Ends the last scene. */
  finish(): Promise<ProductResults['SCENES']>;
}

interface Scene {
  readonly start: number;
  /** Of the cut that it begins with. */
  readonly strength: number;
  readonly thumbnail: string | null;
}

/** Shorter scenes are none, in seconds. */
const SHORTEST_SCENE = 0.5;
const MOST_SCENES = 1000;
/** So close to a cut, in seconds, a picture may still be blended with the one before, or badly encoded. */
const UNSETTLED = 0.15;
/** A picture stands for a scene that it is near the beginning of. */
const LATEST = 20;

/** Makes the list. `duration`: seconds of the whole film. */
export function createSceneList({ duration, files }: { duration: number; files: StillFiles }): SceneList {
  const scenes: Scene[] = [];
  let open = { start: 0, strength: Number.POSITIVE_INFINITY };
  let best: { readonly still: Still; readonly score: number } | null = null;
  let written = 0;

  /** Stores the scene that is open. */
  async function close(): Promise<void> {
    written += 1;
    const name = `scenes/scene-${String(written).padStart(4, '0')}`;
    const thumbnail = best && (await writeStill(best.still, name, files));
    best = null;
    scenes.push({ ...open, thumbnail });
    if (scenes.length > MOST_SCENES) await joinWeakest();
  }

  /** Takes out the weakest cut: the scene behind it becomes a part of the one before. */
  async function joinWeakest(): Promise<void> {
    const weakest = scenes.reduce((least, scene) => (scene.strength < least.strength ? scene : least));
    scenes.splice(scenes.indexOf(weakest), 1);
    if (weakest.thumbnail) await rm(join(files.folder, weakest.thumbnail), { force: true });
  }

  return {
    offer(still, at) {
      const since = at - open.start;
      if (since > LATEST && best) return;
      const score = scoreStill(still) * (since < UNSETTLED && open.start > 0 ? 0.5 : 1);
      if (!best || score > best.score) best = { still, score };
    },
    async cut({ at, strength }) {
      if (at - open.start < SHORTEST_SCENE || duration - at < SHORTEST_SCENE) return;
      await close();
      open = { start: at, strength };
    },
    async finish() {
      await close();
      const round = (seconds: number) => Math.round(seconds * 1e6) / 1e6;
      return {
        scenes: scenes.map(({ start, thumbnail }, index) => ({
          start: round(start),
          end: round(scenes[index + 1]?.start ?? duration),
          thumbnail,
        })),
      };
    },
  };
}
