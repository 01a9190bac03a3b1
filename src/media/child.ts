import { open } from 'node:fs/promises';
import { type ByteSource, createFileSource, createRemoteSource } from './byte-source.ts';
import { CHILD_ARGUMENT } from './channel.ts';
import { connectToPool } from './child-line.ts';
import { MediaRejectedError } from './errors.ts';
import type { MediaFacts } from './facts.ts';
import type { Order, Report, Task, Verdict } from './messages.ts';
import { probe } from './probe.ts';

/** Thrown into a running probe when the pool has told to stop. */
class StoppedError extends Error {
  override readonly name = 'StoppedError';
}

interface RunningCall {
  isStopped: boolean;
  /** What waits for a block; a probe reads one after the other. */
  fetch: { readonly resolve: (bytes: Uint8Array) => void; readonly reject: (error: Error) => void } | null;
}

/** Serves calls until the pool goes away. */
function serve(): void {
  const calls = new Map<number, RunningCall>();
  /** Whose block the next bytes are; its call may have ended meanwhile. */
  let receiver: RunningCall | undefined;
  const channel = connectToPool({
    onJson: (message) => {
      // The pool is trusted: it is this program's own other half.
      const order = message as Order;
      if (order.type === 'block') receiver = calls.get(order.call);
      else if (order.type === 'stop') stop(calls.get(order.call));
      else void run(order);
    },
    onBytes: (bytes) => receiver?.fetch?.resolve(bytes),
  });
  const send = (report: Report) => channel.sendJson(report);

  function stop(call: RunningCall | undefined): void {
    if (!call) return;
    call.isStopped = true;
    call.fetch?.reject(new StoppedError());
  }

  async function run(order: Task & { readonly call: number }): Promise<void> {
    const running: RunningCall = { isStopped: false, fetch: null };
    calls.set(order.call, running);
    const fetch = (offset: number, length: number) =>
      new Promise<Uint8Array>((resolve, reject) => {
        if (running.isStopped) return reject(new StoppedError());
        running.fetch = { resolve, reject };
        send({ type: 'fetch', call: order.call, offset, length });
      });
    const verdict = await (order.type === 'probeFile'
      ? probeFile(order.path, () => running.isStopped)
      : probe(createRemoteSource({ size: order.size, fetch })).then(toFacts)
    ).catch(toVerdict);
    calls.delete(order.call);
    send({ ...verdict, call: order.call });
  }

  send({ type: 'ready' });
}

async function probeFile(path: string, isStopped: () => boolean): Promise<Verdict> {
  const handle = await open(path);
  try {
    const file = await createFileSource(handle);
    const source: ByteSource = {
      ...file,
      async read(offset, length) {
        if (isStopped()) throw new StoppedError();
        return file.read(offset, length);
      },
    };
    return toFacts(await probe(source));
  } finally {
    await handle.close();
  }
}

function toFacts(facts: MediaFacts): Verdict {
  return { type: 'facts', facts };
}

function toVerdict(error: unknown): Verdict {
  if (error instanceof MediaRejectedError)
    return { type: 'rejected', code: error.code, message: error.message };
  if (error instanceof StoppedError) return { type: 'stopped' };
  const { code = '', message } = error as NodeJS.ErrnoException;
  if (code.startsWith('E')) return { type: 'unreadable', code, message };
  // A fault of this program: the process is not to be trusted any more, and its end tells the pool.
  throw error;
}

if (process.argv.includes(CHILD_ARGUMENT)) serve();
