import { open } from 'node:fs/promises';
import { Socket } from 'node:net';
import { constants, getPriority, setPriority } from 'node:os';
import { AV_LOG_QUIET } from 'node-av/constants';
import { Log } from 'node-av/lib';
import { type ByteSource, createFileSource, createRemoteSource } from './byte-source.ts';
import { CHILD_ARGUMENT, createChannel, LONGEST_ORDER } from './channel.ts';
import { MediaRejectedError } from './errors.ts';
import type { Order, Report } from './messages.ts';
import { probe } from './probe.ts';

/** The file descriptor of the socket to the pool. */
const CHANNEL_FD = 3;

/** Thrown into a running probe when the pool has told to stop. */
class StoppedError extends Error {
  override readonly name = 'StoppedError';
}

interface PendingFetch {
  readonly resolve: (bytes: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

/** Serves one call after the other until the pool goes away. */
function serve(): void {
  // A terminal's Ctrl-C and a supervisor's SIGTERM reach the whole group; the pool alone decides when its children end.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => {});
  const { PRIORITY_BELOW_NORMAL } = constants.priority;
  if (getPriority() < PRIORITY_BELOW_NORMAL) setPriority(PRIORITY_BELOW_NORMAL);
  Log.setLevel(AV_LOG_QUIET);
  const socket = new Socket({ fd: CHANNEL_FD, readable: true, writable: true });
  // Not process.exit: that waits for FFmpeg's threads, and one of them may never end.
  const die = () => process.kill(process.pid, 'SIGKILL');
  socket.on('error', die).on('end', die).on('close', die);

  let pending: PendingFetch | undefined;
  let stopped = false;
  const channel = createChannel({
    socket,
    maxBytes: LONGEST_ORDER,
    onJson: (message) => {
      // The pool is trusted: it is this program's own other half.
      const order = message as Order;
      if (order.type !== 'stop') {
        void call(order);
      } else {
        stopped = true;
        pending?.reject(new StoppedError());
      }
    },
    onBytes: (bytes) => pending?.resolve(bytes),
    onViolation: die,
  });
  const send = (report: Report) => channel.sendJson(report);

  function fetch(offset: number, length: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      if (stopped) return reject(new StoppedError());
      pending = { resolve, reject };
      send({ type: 'fetch', offset, length });
    });
  }

  async function call(order: Exclude<Order, { type: 'stop' }>): Promise<void> {
    stopped = false;
    pending = undefined;
    const report = await (order.type === 'probeFile'
      ? probeFile(order.path, () => stopped)
      : probe(createRemoteSource({ size: order.size, fetch })).then(toFacts)
    ).catch(toReport);
    send(report);
  }

  send({ type: 'ready' });
}

async function probeFile(path: string, isStopped: () => boolean): Promise<Report> {
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

function toFacts(facts: Extract<Report, { type: 'facts' }>['facts']): Report {
  return { type: 'facts', facts };
}

function toReport(error: unknown): Report {
  if (error instanceof MediaRejectedError)
    return { type: 'rejected', code: error.code, message: error.message };
  if (error instanceof StoppedError) return { type: 'stopped' };
  const { code = '', message } = error as NodeJS.ErrnoException;
  if (code.startsWith('E')) return { type: 'unreadable', code, message };
  // A fault of this program: the process is not to be trusted any more, and its end tells the pool.
  throw error;
}

if (process.argv.includes(CHILD_ARGUMENT)) serve();
