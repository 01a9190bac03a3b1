import { type ChildProcess, spawn } from 'node:child_process';
import type { Duplex, Readable } from 'node:stream';
import type { Logger } from 'pino';
import { type Call, settleByReport } from './call.ts';
import { CHILD_ARGUMENT, type Channel, createChannel, LONGEST_REPORT } from './channel.ts';
import { MediaProcessError, type MediaProcessFailure } from './errors.ts';
import { type Report, reportSchema } from './messages.ts';
import { residentMemory } from './resident-memory.ts';

export interface MediaChildOptions {
  readonly path: string;
  /** The command that it is started through, or none. */
  readonly sandbox: readonly string[];
  readonly log: Logger;
  readonly memoryBytes: number;
  readonly deadlineMs: number;
  /** Called when a call is over and the child free for the next one. */
  readonly onFree: () => void;
  readonly onExit: () => void;
}

/** A running child process, with at most one call at a time. */
export interface MediaChild {
  readonly pid: number | undefined;
  /** How many calls it was given. */
  readonly calls: () => number;
  readonly isFree: () => boolean;
  start(call: Call): void;
  /** Tells it that nobody waits for its call any more; killed if it does not leave it at once. */
  stopCall(call: Call): void;
  kill(): void;
  readonly exited: Promise<void>;
}

const WATCH_MS = 100;
const STOP_GRACE_MS = 1000;
/** Node's own heap, far below the limit for all: what media needs lies outside of it. */
const NODE_FLAGS = ['--max-old-space-size=96', '--no-warnings'];

/** Starts a child: no environment, no folder of ours, no terminal, lowest of priorities, one socket. */
export function startMediaChild(options: MediaChildOptions): MediaChild {
  const { log } = options;
  const command = [...options.sandbox, process.execPath, ...NODE_FLAGS, options.path, CHILD_ARGUMENT];
  const child = spawn(command[0] ?? '', command.slice(1), {
    env: {},
    cwd: '/',
    // A group of its own: what a terminal or a supervisor sends to ours does not reach it.
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  });
  const state: ChildState = {
    current: undefined,
    calls: 0,
    ready: false,
    gone: false,
    killedFor: undefined,
    dying: false,
  };
  const watch = setInterval(() => void look(child, state, options), WATCH_MS);
  watch.unref();
  const kill = (reason?: MediaProcessFailure) => {
    state.killedFor ??= reason;
    state.dying = true;
    child.kill('SIGKILL');
  };
  // stdio was asked for above: number 3 is a socket, both ways.
  const socket = child.stdio[3] as Duplex;
  socket.on('error', (error) => log.debug({ err: error, pid: child.pid }, 'media child: channel'));
  const channel: Channel = createChannel({
    socket,
    maxBytes: LONGEST_REPORT,
    onJson: (message) => onMessage(message),
    onViolation: (problem) => {
      log.warn({ pid: child.pid, problem }, 'media child: killed, it sent what it must not');
      kill('CRASHED');
    },
  });

  function onMessage(message: unknown): void {
    const parsed = reportSchema.safeParse(message);
    if (!parsed.success) {
      log.warn(
        { pid: child.pid, problem: parsed.error.message },
        'media child: killed, it sent what it must not',
      );
      kill('CRASHED');
      return;
    }
    void onReport(parsed.data);
  }

  async function onReport(report: Report): Promise<void> {
    const call = state.current;
    if (report.type === 'ready') {
      state.ready = true;
    } else if (!call) {
      kill('CRASHED');
    } else if (report.type === 'fetch') {
      const block = await call.fetch(report.offset, report.length);
      if (block) channel.sendBytes(block);
    } else {
      state.current = undefined;
      settleByReport(call, report);
      options.onFree();
    }
  }

  logOutput(child.stderr, log, child.pid);
  const exited = new Promise<void>((resolve) => {
    const onEnd = (detail: object) => {
      if (state.gone) return;
      state.gone = true;
      clearInterval(watch);
      log.debug({ pid: child.pid, ...detail, reason: state.killedFor }, 'media child: ended');
      state.current?.fail(deathError(state));
      state.current = undefined;
      socket.destroy();
      options.onExit();
      resolve();
    };
    child.once('exit', (code, signal) => onEnd({ code, signal }));
    child.once('error', (error) => onEnd({ err: error }));
  });

  return {
    pid: child.pid,
    calls: () => state.calls,
    isFree: () => !state.gone && !state.dying && state.current === undefined,
    start(call) {
      state.current = call;
      state.calls++;
      channel.sendJson(call.request.order);
    },
    stopCall(call) {
      if (state.current !== call) return;
      channel.sendJson({ type: 'stop' });
      setTimeout(() => state.current === call && kill(), STOP_GRACE_MS).unref();
    },
    kill: () => kill(),
    exited,
  };
}

interface ChildState {
  current: Call | undefined;
  calls: number;
  /** Whether it has ever spoken: one that dies before that died of its own, and not of a file. */
  ready: boolean;
  gone: boolean;
  killedFor: MediaProcessFailure | undefined;
  dying: boolean;
}

/** One look at a working child: kills it when it holds too much memory or takes too long. */
async function look(child: ChildProcess, state: ChildState, options: MediaChildOptions): Promise<void> {
  const call = state.current;
  if (!call || child.pid === undefined) return;
  if (!call.isWaiting()) call.workedMs += WATCH_MS;
  const late = call.workedMs > options.deadlineMs;
  const full = (await residentMemory(child.pid)) > options.memoryBytes;
  if ((!late && !full) || state.current !== call || state.dying) return;
  state.killedFor = full ? 'OUT_OF_MEMORY' : 'TIMEOUT';
  options.log.warn({ pid: child.pid, reason: state.killedFor }, 'media child: killed');
  state.dying = true;
  child.kill('SIGKILL');
}

function deathError(state: ChildState): Error {
  if (!state.ready && !state.killedFor) return new Error('A media process could not be started.');
  const reason = state.killedFor ?? 'CRASHED';
  const how = { CRASHED: 'crashed', TIMEOUT: 'took too long', OUT_OF_MEMORY: 'needed too much memory' }[
    reason
  ];
  return new MediaProcessError(reason, `The process that read the file ${how}.`);
}

/** What a child prints is of interest only to who looks for it, and never longer than a line. */
function logOutput(stream: Readable | null, log: Logger, pid: number | undefined): void {
  stream?.on('data', (chunk: Buffer) => {
    log.debug({ pid, output: chunk.toString('utf8', 0, 2000) }, 'media child: output');
  });
  stream?.on('error', () => {});
}
