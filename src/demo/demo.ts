import { randomInt } from 'node:crypto';
import type { DemoClient } from './client.ts';
import { createDemoClient } from './client.ts';
import { DEMO_CLIPS, makeDemoClips } from './demo-clips.ts';
import type { Palette } from './format.ts';
import { createPalette } from './format.ts';
import type { Origin } from './origin.ts';
import type { Output } from './painter.ts';
import { createPainter } from './painter.ts';
import { reportAnswer, reportOutcomes } from './report.ts';
import { judge } from './verdict.ts';
import type { ImportView } from './view.ts';
import { applyEvent, EMPTY_VIEW, videoStates, viewOfAnswer } from './view.ts';

/** What the demo needs: a running server that may reach the origin, and a key for it. */
export interface DemoOptions {
  /** The URL of the server's GraphQL endpoint, for instance http://127.0.0.1:4000/graphql. */
  readonly endpoint: string;
  readonly apiKey: string;
  /** Serves the folder that the sample clips are made in. */
  readonly origin: Origin;
  readonly out: Output;
  readonly signal: AbortSignal;
  /** Printed at the end, for people who want to look around. */
  readonly graphiqlUrl?: string;
}

/** Names the clips to the server; one file of the demo is one video, whose external id is the file's name. */
const EXTERNAL_IDS = DEMO_CLIPS.map((clip) => clip.fileName);

/** An import that is not over by then has failed (ms). */
const IMPORT_DEADLINE_MS = 180_000;

/**
 * Makes sample clips, imports them over HTTP, shows each one's progress from the subscription, and prints what came
 * in and what did not, and why.
 * @returns whether every clip ended as it should.
 * @throws {DemoClientError} when the server refuses the import or the subscription.
 * @throws {ClipError} when a sample clip cannot be made.
 * @throws the signal's reason when it is aborted.
 */
export async function runDemo(options: DemoOptions): Promise<boolean> {
  // Other pictures and another system each time: a second demo on the same database brings new videos in.
  const seed = randomInt(1, 1_000_000);
  await showMaking(seed, options);
  return importDemoClips(`demo-${seed}`, options);
}

/** The part of `runDemo` after the clips are made: imports what the origin has, as the videos of a system. */
export async function importDemoClips(systemName: string, options: DemoOptions): Promise<boolean> {
  const { out, origin } = options;
  const palette = paletteOf(out);
  const print = (lines: readonly string[]) => out.write(lines.map((line) => `${line}\n`).join(''));
  const client = createDemoClient(options);
  const begun = performance.now();
  const videos = DEMO_CLIPS.map(({ fileName, about }) => ({
    externalId: fileName,
    url: origin.url(fileName),
    fileName,
    name: about,
  }));
  const started = await client.startImport(systemName, videos);
  print(['', ...reportAnswer(viewOfAnswer(started), performance.now() - begun, palette), '']);
  const view = await watch(client, started.id, { out, palette, signal: options.signal });

  const verdicts = judge(DEMO_CLIPS, videoStates(view, EXTERNAL_IDS));
  print(reportOutcomes(verdicts, palette));
  const seconds = ((performance.now() - begun) / 1000).toFixed(1);
  const finished = view.import?.finished === true;
  const fault = view.import?.error ? `: ${view.import.error.message}` : '.';
  if (finished) print([palette.dim(`The import took ${seconds} s and is ${view.import?.state}${fault}`)]);
  else print([palette.red(`The import has not finished after ${seconds} s.`)]);
  if (options.graphiqlUrl !== undefined) {
    print(['', `GraphiQL: ${palette.cyan(options.graphiqlUrl)}`, `Key:      ${options.apiKey}`]);
  }
  return finished && verdicts.every((verdict) => verdict.asExpected);
}

/** Colours only where somebody sees them and has not asked for none (NO_COLOR, as Node reads it). */
function paletteOf(out: Output): Palette {
  return createPalette(out.isTTY === true && out.hasColors?.() !== false);
}

/** Makes the clips, and says how far that is. */
async function showMaking(seed: number, { out, origin, signal }: DemoOptions): Promise<void> {
  const text = `Making ${DEMO_CLIPS.length} sample clips`;
  const begun = performance.now();
  out.write(`${text} …${out.isTTY === true ? '' : '\n'}`);
  await makeDemoClips(origin.folder, seed, {
    signal,
    onMade: (name) => {
      if (out.isTTY === true) out.write(`\r${text} … ${name}\u001b[K`);
    },
  });
  const seconds = ((performance.now() - begun) / 1000).toFixed(1);
  out.write(
    `${out.isTTY === true ? '\r' : ''}${text}: done in ${seconds} s${out.isTTY === true ? '\u001b[K' : ''}\n`,
  );
}

interface WatchOptions {
  readonly out: Output;
  readonly palette: Palette;
  readonly signal: AbortSignal;
}

/** Paints the import until it ends; what is known when the time is up is the answer then. */
async function watch(client: DemoClient, id: string, options: WatchOptions): Promise<ImportView> {
  const deadline = AbortSignal.timeout(IMPORT_DEADLINE_MS);
  const painter = createPainter(options.out, options.palette);
  let view = EMPTY_VIEW;
  try {
    for await (const event of client.watchImport(id, AbortSignal.any([options.signal, deadline]))) {
      view = applyEvent(view, event);
      const states = videoStates(view, EXTERNAL_IDS);
      painter.paint([...states].map(([name, state]) => ({ name, state })));
    }
  } catch (error) {
    if (!deadline.aborted || options.signal.aborted) throw error;
  } finally {
    painter.close();
  }
  return view;
}
