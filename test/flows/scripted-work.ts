import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ProductWork } from '../../src/jobs/handlers/deps.ts';
import type { Product, ProductError, ProductOutcome, ProductResults } from '../../src/media/products.ts';
import { waitFor } from '../support/wait.ts';

type WorkOptions = Parameters<ProductWork['work']>[0];

/** One run of media work, which does what a test says. */
export interface WorkCall {
  readonly options: WorkOptions;
  progress(product: Product, fraction: number): void;
  /** Writes the product's files and says what it comes to. */
  make(product: Product): Promise<void>;
  fail(product: Product, code?: ProductError['code']): void;
  /** Makes what has no outcome yet, and ends. */
  finish(): Promise<void>;
  /** Settles when nothing of it is being written. */
  written(): Promise<void>;
  /** Ends as it stands. */
  end(): void;
  /** Ends by a fault that is none of the file's. */
  reject(error: Error): void;
}

/** Media work as a test wishes. */
export interface ScriptedWork extends ProductWork {
  /** false: each call waits until the test takes it. */
  isAutomatic: boolean;
  /** The next call that waits; until there is one, does again what brings it about. */
  next(cause?: () => Promise<unknown>): Promise<WorkCall>;
  /** How many calls go on. */
  running(): number;
}

const RESULTS: ProductResults = {
  THUMBNAILS: {
    poster: 'pictures/poster.jpg',
    thumbnails: ['pictures/0001.jpg', 'pictures/0002.jpg'],
    storyboard: 'pictures/storyboard.vtt',
  },
  STREAM: {
    playlist: 'stream/main.m3u8',
    renditions: [{ width: 640, height: 360, bandwidth: 800_000, codecs: 'avc1.64001e', copied: true }],
  },
  SCENES: {
    scenes: [
      { start: 0, end: 2.5, thumbnail: 'scenes/0001.jpg' },
      { start: 2.5, end: 5, thumbnail: null },
    ],
  },
  FINGERPRINT: { frames: [{ at: 0, hash: '00ff00ff00ff00ff' }] },
  QUALITY: { overall: 4.25, metrics: [{ name: 'blur', mean: 0.5, score: 4.25, label: 'Good' }] },
  SCAN_TYPE: { scanType: 'PROGRESSIVE' },
};

const FILES: Readonly<Partial<Record<Product, readonly string[]>>> = {
  THUMBNAILS: ['pictures/poster.jpg', 'pictures/0001.jpg', 'pictures/0002.jpg', 'pictures/storyboard.vtt'],
  STREAM: ['stream/main.m3u8', 'stream/video.m3u8', 'stream/video.mp4'],
  SCENES: ['scenes/0001.jpg'],
};

/** Makes media work that a test scripts. */
export function scriptWork(): ScriptedWork {
  const waiting: WorkCall[] = [];
  let running = 0;
  const work: ScriptedWork = {
    isAutomatic: true,
    running: () => running,
    next: (cause) =>
      waitFor(
        async () => {
          await cause?.();
          return waiting.shift();
        },
        { what: 'media work' },
      ),
    async work(options, listener) {
      running += 1;
      try {
        await new Promise<void>((resolve, reject) => {
          const call = createCall(options, { listener, resolve, reject });
          // As the real one: nobody writes into the folder any more when it has settled.
          const onAbort = () => void call.written().then(() => reject(options.signal.reason));
          if (options.signal.aborted) return onAbort();
          options.signal.addEventListener('abort', onAbort, { once: true });
          if (work.isAutomatic) void call.finish();
          else waiting.push(call);
        });
      } finally {
        running -= 1;
      }
    },
  };
  return work;
}

interface CallParts {
  readonly listener: Parameters<ProductWork['work']>[1];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

function createCall(options: WorkOptions, { listener, resolve, reject }: CallParts): WorkCall {
  const over = new Set<Product>();
  let writing: Promise<void> = Promise.resolve();
  const call: WorkCall = {
    options,
    progress: (product, fraction) => listener.onProgress(product, fraction),
    async make(product) {
      listener.onProgress(product, 0);
      if (options.signal.aborted) return;
      writing = writeAll(options.folder, product);
      await writing;
      over.add(product);
      if (options.signal.aborted) return;
      // Product and result belong together by the way they are looked up.
      listener.onOutcome({ product, result: RESULTS[product] } as ProductOutcome);
    },
    fail(product, code = 'VIDEO_FILE_BROKEN') {
      over.add(product);
      const error = { code, message: `${product} could not be made.` };
      // Any product may end so.
      listener.onOutcome({ product, error } as ProductOutcome);
    },
    async finish() {
      for (const product of options.products) if (!over.has(product)) await call.make(product);
      if (!options.signal.aborted) resolve();
    },
    written: () => writing,
    end: resolve,
    reject,
  };
  return call;
}

async function writeAll(folder: string, product: Product): Promise<void> {
  for (const file of FILES[product] ?? []) {
    const path = join(folder, file);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, `${product} ${file}`);
  }
}
