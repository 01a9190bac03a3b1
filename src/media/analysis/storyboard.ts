import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AnalyzerOptions, Branch } from './analyzer.ts';
import { EXTENSIONS, writeStill } from './encode-still.ts';
import { everyFilter } from './sampling.ts';
import { fittedSize, shownPictureFilters } from './shown-picture.ts';
import { blankStill, paste, type Still, toStill } from './still.ts';

const TILE_SIDE = 160;
const COLUMNS = 10;
const TILES_OF_SPRITE = 100;
const MOST_TILES = 300;
/** What is left at the end is shown with the tile before when it is shorter than this part of a tile. */
const LEAST_TILE = 0.25;
const PATH = 'pictures/storyboard.vtt';

/** Small pictures of the whole film, in sprites that a player shows parts of. */
export interface Storyboard {
  readonly branch: Branch;
  /**
   * Writes what is left, and the cues.
   * @returns the path of the cues.
   */
  finish(): Promise<string>;
}

/** A tile a second, or fewer for long films. Where a film has no pictures, its last one stands on. */
export function createStoryboard({ facts, folder, settings }: AnalyzerOptions): Storyboard {
  const step = Math.max(1, facts.duration / MOST_TILES);
  const count = Math.max(1, Math.ceil(facts.duration / step - LEAST_TILE));
  const size = fittedSize(facts, TILE_SIDE);
  const files = { folder, format: settings.pictureFormat };
  let last: Still | null = null;
  let placed = 0;
  let sprite: Still | null = null;

  async function place(tile: Still): Promise<void> {
    const first = placed - (placed % TILES_OF_SPRITE);
    sprite ??= blankStill(spriteSize(Math.min(TILES_OF_SPRITE, count - first), size));
    paste(tile, sprite, positionOf(placed, size));
    placed += 1;
    if (placed % TILES_OF_SPRITE !== 0 && placed !== count) return;
    const full = sprite;
    sprite = null;
    await writeStill(full, `pictures/${spriteName(placed - 1)}`, files);
  }

  return {
    branch: {
      filters: [
        everyFilter(step),
        shownPictureFilters(facts, { longSide: TILE_SIDE, format: settings.pictureFormat }),
      ].join(','),
      async onFrame(frame, at) {
        const tile = toStill(frame);
        const due = Math.min(count - 1, Math.floor(at / step + 1e-5));
        while (placed < due) await place(last ?? tile);
        last = tile;
        if (placed === due) await place(tile);
      },
    },
    async finish() {
      while (last && placed < count) await place(last);
      const extension = EXTENSIONS[settings.pictureFormat];
      const cues = Array.from({ length: count }, (_, index) => {
        const { x, y } = positionOf(index, size);
        const end = index === count - 1 ? facts.duration : (index + 1) * step;
        const box = `${spriteName(index)}.${extension}#xywh=${x},${y},${size.width},${size.height}`;
        return `${toClock(index * step)} --> ${toClock(end)}\n${box}\n`;
      });
      await mkdir(join(folder, 'pictures'), { recursive: true });
      await writeFile(join(folder, PATH), `WEBVTT\n\n${cues.join('\n')}`);
      return PATH;
    },
  };
}

interface Size {
  readonly width: number;
  readonly height: number;
}

function spriteSize(tiles: number, { width, height }: Size): Size {
  return { width: Math.min(COLUMNS, tiles) * width, height: Math.ceil(tiles / COLUMNS) * height };
}

function positionOf(index: number, { width, height }: Size): { readonly x: number; readonly y: number } {
  const place = index % TILES_OF_SPRITE;
  return { x: (place % COLUMNS) * width, y: Math.floor(place / COLUMNS) * height };
}

function spriteName(index: number): string {
  return `sprite-${Math.floor(index / TILES_OF_SPRITE) + 1}`;
}

/** Seconds as WebVTT writes them: 01:02:03.004. */
function toClock(seconds: number): string {
  const milliseconds = Math.round(seconds * 1000);
  const pad = (value: number, digits = 2) => String(Math.floor(value)).padStart(digits, '0');
  const [hours, minutes] = [milliseconds / 3_600_000, (milliseconds / 60_000) % 60];
  return `${pad(hours)}:${pad(minutes)}:${pad((milliseconds / 1000) % 60)}.${pad(milliseconds % 1000, 3)}`;
}
