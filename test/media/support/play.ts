import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { Browser } from 'playwright-core';
import { startOrigin } from '../../../src/demo/origin.ts';

/** What a page has seen of a stream. */
export interface Played {
  readonly ended: boolean;
  /** Seconds. */
  readonly duration: number;
  readonly currentTime: number;
  /** Where playing began. */
  readonly begin: number;
  /** Pixels as shown. */
  readonly width: number;
  readonly height: number;
  /** The fatal complaints of hls.js, and the player's own. */
  readonly errors: readonly string[];
  /** All complaints of hls.js. */
  readonly complaints: readonly string[];
  /** Bytes of sound that were decoded. */
  readonly sound: number;
  /** A picture of the page while it played. */
  readonly picture: Buffer;
}

/** Plays four times as fast, and notes what happens. */
const SCRIPT = `
  const video = document.querySelector('video');
  const seen = { begin: -1, errors: [], complaints: [] };
  const hls = new Hls();
  hls.on(Hls.Events.ERROR, (_event, { type, details, fatal }) => {
    seen.complaints.push(details);
    if (fatal) seen.errors.push(type + ' ' + details);
  });
  video.addEventListener('error', () => seen.errors.push(video.error.message));
  video.addEventListener('timeupdate', () => {
    if (seen.begin < 0 && video.readyState > 2) seen.begin = video.currentTime;
  });
  hls.loadSource('main.m3u8');
  hls.attachMedia(video);
  video.playbackRate = 4;
  video.play().catch((error) => seen.errors.push(error.message));
  window.describe = () => ({
    ...seen, ended: video.ended, duration: video.duration, currentTime: video.currentTime,
    width: video.videoWidth, height: video.videoHeight, sound: video.webkitAudioDecodedByteCount,
  });
`;
const PAGE = '<!doctype html><body style="margin:0"><video muted style="height:100vh"></video>';
const LONGEST_MS = 30_000;

/**
 * Plays the multivariant playlist of a folder with hls.js, to its end or as far as it comes.
 * @throws when nothing has happened for half a minute.
 */
export async function playStream(browser: Browser, folder: string): Promise<Played> {
  const origin = await startOrigin(folder);
  const page = await browser.newPage({ viewport: { width: 640, height: 480 } });
  const waitFor = (condition: string) =>
    page.waitForFunction(`describe().errors.length > 0 || ${condition}`, undefined, { timeout: LONGEST_MS });
  try {
    await page.route('**/player.html', (route) => route.fulfill({ contentType: 'text/html', body: PAGE }));
    await page.goto(origin.url('player.html'));
    const library = createRequire(import.meta.url).resolve('hls.js/dist/hls.min.js');
    await page.addScriptTag({ content: await readFile(library, 'utf8') });
    await page.addScriptTag({ content: SCRIPT });
    await waitFor('describe().currentTime > describe().duration / 3');
    const picture = await page.screenshot();
    await waitFor('describe().ended');
    const seen = (await page.evaluate('describe()')) as Omit<Played, 'picture'>; // what SCRIPT gives
    return { ...seen, picture };
  } finally {
    await page.close();
    await origin.close();
  }
}
