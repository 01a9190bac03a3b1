import { getSystemErrorName } from 'node:util';
import { FFmpegError } from 'node-av/lib';
import type { AnalysisProduct } from './analysis/analyzers.ts';
import { CHILD_ARGUMENT } from './channel.ts';
import { connectToPool } from './child-line.ts';
import { MediaRejectedError } from './errors.ts';
import type { Product, WorkListener } from './products.ts';
import type { Report, WorkOrder, WorkTask, WorkVerdict } from './work-messages.ts';

/** How often the progress of a product is told, in milliseconds. */
const PROGRESS_MS = 100;

/** What FFmpeg says of the system, and not of a file. */
const SYSTEM_ERRORS = new Set(['ENOSPC', 'EDQUOT', 'EIO', 'EROFS', 'EMFILE', 'ENFILE']);

/** Makes products, one call after the other, until the pool goes away. */
function serve(): void {
  const channel = connectToPool({
    // The pool is trusted: it is this program's own other half.
    onJson: (message) => void run(message as WorkOrder),
  });
  const send = (report: Report) => channel.sendJson(report);

  async function run(order: WorkOrder): Promise<void> {
    const { call } = order;
    const verdict = await make(order, {
      onProgress: throttle((product, fraction) => send({ type: 'progress', call, product, fraction })),
      onOutcome: (outcome) =>
        'result' in outcome
          ? send({ type: 'made', call, outcome })
          : send({ type: 'refused', call, outcome }),
    }).catch(toVerdict);
    send({ ...verdict, call });
  }

  send({ type: 'ready' });
}

async function make(task: WorkTask, listener: WorkListener): Promise<WorkVerdict> {
  const { path, folder, settings, products } = task;
  // What is written by a name without a folder would be written there.
  process.chdir(folder);
  try {
    const decoded = products.filter(isDecoded);
    if (products.includes('STREAM')) {
      const { makeStream } = await import('./stream/make-stream.ts');
      const onProgress = (fraction: number) => listener.onProgress('STREAM', fraction);
      const result = await makeStream({ path, folder, settings }, onProgress);
      listener.onOutcome({ product: 'STREAM', result });
    }
    if (decoded.length > 0) {
      const { runAnalysis } = await import('./analysis/run-analysis.ts');
      await runAnalysis({ path, folder, settings, products: decoded }, listener);
    }
    return { type: 'done' };
  } finally {
    process.chdir('/');
  }
}

const isDecoded = (product: Product): product is AnalysisProduct => product !== 'STREAM';

/** A pool that listens need not hear of every picture. */
function throttle(tell: WorkListener['onProgress']): WorkListener['onProgress'] {
  const toldAt = new Map<Product, number>();
  return (product, fraction) => {
    const now = performance.now();
    const isEarly = now - (toldAt.get(product) ?? Number.NEGATIVE_INFINITY) < PROGRESS_MS;
    if ((isEarly && fraction < 1) || !Number.isFinite(fraction)) return;
    toldAt.set(product, now);
    tell(product, fraction);
  };
}

function toVerdict(error: unknown): WorkVerdict {
  if (error instanceof MediaRejectedError)
    return { type: 'rejected', code: error.code, message: error.message };
  const code = systemCodeOf(error);
  // A fault of this program: the process is not to be trusted any more, and its end tells the pool.
  if (code === null || !(error instanceof Error)) throw error;
  return { type: 'failed', code, message: error.message.slice(0, 1000) };
}

/** The name of a system's error, or null for any other. */
function systemCodeOf(error: unknown): string | null {
  if (error instanceof FFmpegError) {
    const name = getSystemErrorName(error.code);
    return SYSTEM_ERRORS.has(name) ? name : null;
  }
  const { code } = error as NodeJS.ErrnoException;
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) ? code : null;
}

if (process.argv.includes(CHILD_ARGUMENT)) serve();
