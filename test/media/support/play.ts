import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { Browser, Page } from 'playwright-core';
import { startOrigin } from '../../../src/demo/origin.ts';
import { startSite } from '../../support/site.ts';

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
  window.play = (playlist) => {
    hls.loadSource(playlist);
    hls.attachMedia(video);
    video.playbackRate = 4;
    video.play().catch((error) => seen.errors.push(error.message));
  };
  window.describe = () => ({
    ...seen, ended: video.ended, duration: video.duration, currentTime: video.currentTime,
    width: video.videoWidth, height: video.videoHeight, sound: video.webkitAudioDecodedByteCount,
  });
`;
const PAGE = '<!doctype html><body style="margin:0"><video muted style="height:100vh"></video>';
const require = createRequire(import.meta.url);
const LIBRARY = require.resolve('hls.js/dist/hls.min.js');
const LONGEST_MS = 90_000;

/**
 * Plays the multivariant playlist of a folder with hls.js, to its end or as far as it comes.
 * @throws when nothing has happened for half a minute.
 */
export async function playStream(browser: Browser, folder: string): Promise<Played> {
  const origin = await startOrigin(folder);
  try {
    // That origin says nothing of others: the page has to be its own.
    return await play(browser, {
      playlist: origin.url('main.m3u8'),
      page: origin.url('player.html'),
      prepare: (page) =>
        page.route('**/player.html', (route) => route.fulfill({ contentType: 'text/html', body: PAGE })),
    });
  } finally {
    await origin.close();
  }
}

/**
 * Plays a multivariant playlist with hls.js, on a page of another origin, to its end or as far as it comes.
 * @throws when nothing has happened for half a minute.
 */
export async function playFromElsewhere(browser: Browser, playlist: string): Promise<Played> {
  const site = await startSite(PAGE);
  try {
    return await play(browser, { playlist, page: site.url });
  } finally {
    site.close();
  }
}

interface PlayOptions {
  readonly playlist: string;
  readonly page: string;
  readonly prepare?: (page: Page) => Promise<unknown>;
}

async function play(browser: Browser, { playlist, page: address, prepare }: PlayOptions): Promise<Played> {
  const page = await browser.newPage({ viewport: { width: 640, height: 480 } });
  const waitFor = (condition: string) =>
    page.waitForFunction(`describe().errors.length > 0 || ${condition}`, undefined, { timeout: LONGEST_MS });
  try {
    await prepare?.(page);
    await page.goto(address);
    await page.addScriptTag({ content: await readFile(LIBRARY, 'utf8') });
    await page.addScriptTag({ content: SCRIPT });
    await page.evaluate(`play(${JSON.stringify(playlist)})`);
    await waitFor('describe().currentTime > describe().duration / 3');
    const picture = await page.screenshot();
    await waitFor('describe().ended');
    const seen = (await page.evaluate('describe()')) as Omit<Played, 'picture'>; // what SCRIPT gives
    return { ...seen, picture };
  } finally {
    await page.close();
  }
}
