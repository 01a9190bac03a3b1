import { open } from 'node:fs/promises';
import type { Frame } from 'node-av/lib';
import { createFileSource } from '../byte-source.ts';
import { describePicture } from '../decode.ts';
import { type OpenVideo, withOpenVideo } from '../demux.ts';
import { broken, MediaRejectedError } from '../errors.ts';
import type { MediaFacts } from '../facts.ts';
import { hasHdrTransfer, pixelAspectIn, probe } from '../probe.ts';
import type { WorkListener, WorkOptions } from '../products.ts';
import type { PictureFacts } from './analyzer.ts';
import { ANALYZERS, type AnalysisProduct, type AnalyzerTable } from './analyzers.ts';
import { decodePictures } from './decode-pictures.ts';
import { formatOf, type PictureFormat } from './picture-format.ts';
import { createPicturePass, type PicturePass } from './picture-pass.ts';
import { type RunningAnalyzer, startAnalyzer, toOutcome } from './running-analyzer.ts';

/** What is made of the pictures of a local file. */
export interface AnalysisWork extends Omit<WorkOptions, 'products'> {
  readonly products: readonly AnalysisProduct[];
}

/**
 * Decodes a file once for all products that are made of its pictures. Each of them ends by itself, told to
 * the listener; a file that cannot be read is the outcome of all. Only for a process of its own: a hostile
 * file may crash it.
 * @throws errors of the system, such as a file that cannot be opened or a full disk.
 */
export async function runAnalysis(
  work: AnalysisWork,
  listener: WorkListener,
  analyzers: AnalyzerTable = ANALYZERS,
): Promise<void> {
  const waiting = new Set(work.products);
  const noting: WorkListener = {
    onProgress: (product, fraction) => listener.onProgress(product, fraction),
    onOutcome(outcome) {
      for (const product of waiting) if (product === outcome.product) waiting.delete(product);
      listener.onOutcome(outcome);
    },
  };
  const handle = await open(work.path);
  try {
    const source = await createFileSource(handle);
    const facts = await probe(source);
    await withOpenVideo(source, (video) => analyze(video, facts, { work, listener: noting, analyzers }));
  } catch (error) {
    if (!(error instanceof MediaRejectedError)) throw error;
    for (const product of waiting) listener.onOutcome(toOutcome(product, error));
  } finally {
    await handle.close();
  }
}

interface Order {
  readonly analyzers: AnalyzerTable;
  readonly work: AnalysisWork;
  readonly listener: WorkListener;
}

async function analyze(video: OpenVideo, media: MediaFacts, order: Order): Promise<void> {
  let pass: PicturePass | null = null;
  try {
    await decodePictures(video, {
      duration: media.duration,
      take(picture, at) {
        pass ??= openPass(picture, video, { media, ...order });
        return pass.take(picture, at);
      },
    });
    // What is assigned in a callback is not seen by the type checker.
    const opened = pass as PicturePass | null;
    if (!opened) throw broken('none of its pictures can be decoded');
    await opened.finish();
  } finally {
    (pass as PicturePass | null)?.free();
  }
}

function openPass(
  first: Frame,
  video: OpenVideo,
  { media, work, listener, analyzers }: Order & { readonly media: MediaFacts },
): PicturePass {
  const picture = describePicture(first);
  const told = { pixelAspect: pixelAspectIn(video, picture), hdr: hasHdrTransfer(video, picture) };
  const format = formatOf(first, told);
  const facts = toPictureFacts(format, media);
  const start = (product: AnalysisProduct): RunningAnalyzer => {
    const create = analyzers[product];
    return startAnalyzer(product, {
      listener,
      format,
      create() {
        if (!create) throw new Error(`Nobody makes ${product}.`);
        return create({ facts, folder: work.folder, settings: work.settings });
      },
    });
  };
  return createPicturePass({
    duration: media.duration,
    told,
    format,
    analyzers: work.products.map(start),
  });
}

function toPictureFacts(format: PictureFormat, media: MediaFacts): PictureFacts {
  return {
    width: format.width,
    height: format.height,
    pixelAspect: format.pixelAspect,
    // One of the four: the probe rounds to quarters.
    rotation: media.rotation as PictureFacts['rotation'],
    shownWidth: media.width,
    shownHeight: media.height,
    duration: media.duration,
    frameRate: media.frameRate,
    pixelFormat: format.pixelFormatName,
    hdr: format.hdr,
  };
}
