import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { partOf } from './clip-spec.ts';
import type { EncodeReply, EncodeRequest } from './encode-child.ts';

/** A clip that could not be made, with FFmpeg's reason. */
export class ClipError extends Error {
  override readonly name = 'ClipError';
}

/** A child process that encodes one clip after the other. */
export interface ClipEncoder {
  /**
   * @throws {ClipError} when FFmpeg cannot make it, or the child ends meanwhile.
   * @throws the signal's reason when it is aborted; the child is of no use from then on.
   */
  encode(message: EncodeRequest, signal?: AbortSignal): Promise<void>;
  /** Ends the child, at once. */
  close(): Promise<void>;
}

/** The compiled child: beside this file in dist/, or there when this runs as TypeScript. */
const CHILD = import.meta.url.endsWith('.ts')
  ? new URL('../../dist/demo/encode-child.js', import.meta.url)
  : new URL('./encode-child.js', import.meta.url);

/** Starts an encoding child. It has none of our environment, and ends when this process does. */
export function startClipEncoder(): ClipEncoder {
  const child = fork(fileURLToPath(CHILD), [], {
    env: { SVT_LOG: '0' },
    execArgv: [],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  const exited = once(child, 'exit');
  let complaints = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaints = (complaints + text).slice(-2_000);
  });

  const close = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await exited;
  };

  return {
    encode: async (message, signal) => {
      const reply = await ask(child, message, signal).catch(async (error: unknown) => {
        await close();
        return { failure: error };
      });
      if ('error' in reply)
        throw new ClipError(`${message.path} cannot be made: ${reply.error}. ${complaints.trim()}`);
      if (!('failure' in reply)) return;
      // A child that was killed leaves what it had written.
      await rm(partOf(message.path), { force: true });
      throw reply.failure;
    },
    close,
  };
}

async function ask(child: ChildProcess, message: EncodeRequest, signal?: AbortSignal): Promise<EncodeReply> {
  signal?.throwIfAborted();
  // The waiting ends with whichever comes first; the abort takes the other listeners away.
  const done = new AbortController();
  const stop = signal ? AbortSignal.any([signal, done.signal]) : done.signal;
  const reply = once(child, 'message', { signal: stop }).then(([answer]) => answer as EncodeReply); // our own child's
  const ended = once(child, 'exit', { signal: stop }).then((): EncodeReply => {
    throw new ClipError(`The encoder ended while it made ${message.path}.`);
  });
  child.send(message);
  try {
    return await Promise.race([reply, ended]);
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    done.abort();
    await Promise.allSettled([reply, ended]);
  }
}
