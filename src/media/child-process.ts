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

interface Running {
  readonly child: ChildProcess;
  readonly options: MediaChildOptions;
  current: Call | undefined;
  calls: number;
  /** Whether it has ever spoken: one that dies before that died of its own, and not of a file. */
  ready: boolean;
  dying: boolean;
  gone: boolean;
  killedFor: MediaProcessFailure | undefined;
}

/** Starts a child: no environment, no folder of ours, no terminal, low priority, one socket. */
export function startMediaChild(options: MediaChildOptions): MediaChild {
  const child = spawnChild(options);
  const state = {
    current: undefined,
    calls: 0,
    ready: false,
    dying: false,
    gone: false,
    killedFor: undefined,
  };
  const running: Running = { child, options, ...state };
  const channel = connect(running);
  const watch = setInterval(() => void look(running), WATCH_MS);
  logOutput(child.stderr, options.log, child.pid);
  const exited = whenGone(running).then(() => clearInterval(watch));
  return {
    pid: child.pid,
    calls: () => running.calls,
    isFree: () => !running.gone && !running.dying && running.current === undefined,
    start(call) {
      running.current = call;
      running.calls++;
      channel.sendJson(call.request.order);
    },
    stopCall(call) {
      if (running.current !== call) return;
      channel.sendJson({ type: 'stop' });
      setTimeout(() => running.current === call && kill(running), STOP_GRACE_MS).unref();
    },
    kill: () => kill(running),
    exited,
  };
}

function spawnChild({ sandbox, path }: MediaChildOptions): ChildProcess {
  const command = [...sandbox, process.execPath, ...NODE_FLAGS, path, CHILD_ARGUMENT];
  return spawn(command[0] ?? '', command.slice(1), {
    env: {},
    cwd: '/',
    // A group of its own: what a terminal or a supervisor sends to ours does not reach it.
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  });
}

function kill(running: Running, reason?: MediaProcessFailure): void {
  running.killedFor ??= reason;
  running.dying = true;
  running.child.kill('SIGKILL');
}

/** Listens to the child. What it says is believed only as far as it makes sense. */
function connect(running: Running): Channel {
  const { child, options } = running;
  const condemn = (problem: string) => {
    options.log.warn({ pid: child.pid, problem }, 'media child: killed, it sent what it must not');
    kill(running, 'CRASHED');
  };
  // Number 3 of its stdio is a socket, both ways, as it was asked for.
  const socket = child.stdio[3] as Duplex;
  socket.on('error', (error) => options.log.debug({ err: error, pid: child.pid }, 'media child: channel'));
  const channel = createChannel({
    socket,
    maxBytes: LONGEST_REPORT,
    onJson: (message) => {
      const parsed = reportSchema.safeParse(message);
      if (!parsed.success) condemn(parsed.error.message);
      else void onReport(parsed.data);
    },
    onViolation: condemn,
  });

  async function onReport(report: Report): Promise<void> {
    const call = running.current;
    if (report.type === 'ready') {
      running.ready = true;
    } else if (!call) {
      condemn(`${report.type} without a call`);
    } else if (report.type === 'fetch') {
      const block = await call.fetch(report.offset, report.length);
      if (block && running.current === call) channel.sendBytes(block);
    } else {
      running.current = undefined;
      settleByReport(call, report);
      options.onFree();
    }
  }
  return channel;
}

function whenGone(running: Running): Promise<void> {
  const { child, options } = running;
  return new Promise((resolve) => {
    const onEnd = (detail: object) => {
      if (running.gone) return;
      running.gone = true;
      options.log.debug({ pid: child.pid, ...detail, reason: running.killedFor }, 'media child: ended');
      running.current?.fail(deathError(running));
      running.current = undefined;
      child.stdio[3]?.destroy();
      options.onExit();
      resolve();
    };
    child.once('exit', (code, signal) => onEnd({ code, signal }));
    child.once('error', (error) => onEnd({ err: error }));
  });
}

/** One look at a working child: kills it when it holds too much memory or takes too long. */
async function look(running: Running): Promise<void> {
  const { child, options, current: call } = running;
  if (!call || child.pid === undefined) return;
  if (!call.isWaiting()) call.workedMs += WATCH_MS;
  const late = call.workedMs > options.deadlineMs;
  const full = (await residentMemory(child.pid)) > options.memoryBytes;
  if ((!late && !full) || running.current !== call || running.dying) return;
  const reason = full ? 'OUT_OF_MEMORY' : 'TIMEOUT';
  options.log.warn({ pid: child.pid, reason }, 'media child: killed');
  kill(running, reason);
}

function deathError(running: Running): Error {
  if (!running.ready && !running.killedFor) return new Error('A media process could not be started.');
  const reason = running.killedFor ?? 'CRASHED';
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
