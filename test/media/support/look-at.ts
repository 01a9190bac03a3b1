import type { Browser } from 'playwright-core';
import { startSite } from '../../support/site.ts';

/** A picture that a page has loaded; 0 by 0 where it could not. */
export interface SeenPicture {
  readonly width: number;
  readonly height: number;
}

/** The first cue of a storyboard, and the sprite that it names. */
export interface SeenStoryboard {
  /** Where in the sprite the tile is, in pixels: left, top, width, height. */
  readonly box: readonly number[];
  readonly sprite: SeenPicture;
  /** How far apart the brightest and the darkest part of the tile are, 0 to 255. */
  readonly contrast: number;
}

const SCRIPT = `
  const load = (url) => new Promise((resolve) => {
    const image = new Image();
    image.crossOrigin = 'anonymous';
    image.onload = image.onerror = () => resolve(image);
    image.src = url;
  });
  const sizeOf = (image) => ({ width: image.naturalWidth, height: image.naturalHeight });
  window.look = async (url) => sizeOf(await load(url));
  window.lookAtStoryboard = async (url) => {
    const text = await (await fetch(url)).text();
    const [, name, ...box] = /^(\\S+)#xywh=(\\d+),(\\d+),(\\d+),(\\d+)$/m.exec(text);
    const [x, y, width, height] = box.map(Number);
    const sprite = await load(new URL(name, url));
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext('2d');
    context.drawImage(sprite, x, y, width, height, 0, 0, width, height);
    const levels = context.getImageData(0, 0, width, height).data.filter((_level, at) => at % 4 === 1);
    const contrast = Math.max(...levels) - Math.min(...levels);
    return { box: [x, y, width, height], sprite: sizeOf(sprite), contrast };
  };
`;

/** Loads pictures and a storyboard into a page of another origin, as a player does that draws them. */
export async function lookFromElsewhere(
  browser: Browser,
  { pictures, storyboard }: { readonly pictures: readonly string[]; readonly storyboard: string },
): Promise<{ readonly pictures: readonly SeenPicture[]; readonly storyboard: SeenStoryboard }> {
  const site = await startSite('<!doctype html>');
  const page = await browser.newPage();
  try {
    await page.goto(site.url);
    await page.addScriptTag({ content: SCRIPT });
    const seen: unknown = await page.evaluate(
      `(async () => ({
        pictures: await Promise.all(${JSON.stringify(pictures)}.map(look)),
        storyboard: await lookAtStoryboard(${JSON.stringify(storyboard)}),
      }))()`,
    );
    return seen as Awaited<ReturnType<typeof lookFromElsewhere>>; // what SCRIPT gives
  } finally {
    await page.close();
    site.close();
  }
}
