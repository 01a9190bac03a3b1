import { type ChildProcess, spawn } from 'node:child_process';
import type { Duplex, Readable } from 'node:stream';
import type { Logger } from 'pino';
import { type Call, settleByReport } from './call.ts';
import { CHILD_ARGUMENT, type Channel, createChannel, LONGEST_REPORT } from './channel.ts';
import { MediaProcessError, type MediaProcessFailure } from './errors.ts';
import { type Order, type Report, reportSchema } from './messages.ts';
import { residentMemory } from './resident-memory.ts';

export interface MediaChildOptions {
  readonly path: string;
  /** The command that it is started through, or none. */
  readonly sandbox: readonly string[];
  readonly log: Logger;
  readonly memoryBytes: number;
  readonly deadlineMs: number;
  /** How many calls that need no child to themselves it has at once. */
  readonly maxShared: number;
  /** After how many calls it takes no more. */
  readonly maxCalls: number;
  /** Called when a call is over. */
  readonly onFree: () => void;
  /** Called with the calls that it leaves: it had several, and whose fault its end was is not known. */
  readonly onExit: (unserved: readonly Call[]) => void;
}

/** A running child process, with one call, or several that share it while they wait for their sources. */
export interface MediaChild {
  readonly pid: number | undefined;
  /** How many calls it has now. */
  load(): number;
  /** Whether it has room for a call. */
  takes(call: Call): boolean;
  /** Whether it was given all the calls that it takes. */
  isUsedUp(): boolean;
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
  /** By number. */
  readonly calls: Map<number, Call>;
  /** How many it was given. */
  given: number;
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
    calls: new Map(),
    given: 0,
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
  const { calls } = running;
  const isUsedUp = () => running.given >= options.maxCalls;
  const hasRoom = (call: Call) =>
    calls.size === 0 ||
    (!call.alone && calls.size < options.maxShared && [...calls.values()].every(({ alone }) => !alone));
  const numberOf = (call: Call) => [...calls.keys()].find((number) => calls.get(number) === call);
  return {
    pid: child.pid,
    load: () => calls.size,
    takes: (call) => !running.gone && !running.dying && !isUsedUp() && hasRoom(call),
    isUsedUp,
    start(call) {
      const number = ++running.given;
      calls.set(number, call);
      channel.sendJson({ ...call.request.task, call: number } satisfies Order);
    },
    stopCall(call) {
      const number = numberOf(call);
      if (number === undefined) return;
      channel.sendJson({ type: 'stop', call: number } satisfies Order);
      setTimeout(() => calls.get(number) === call && kill(running), STOP_GRACE_MS).unref();
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
    if (report.type === 'ready') {
      running.ready = true;
      return;
    }
    const call = running.calls.get(report.call);
    if (!call) {
      condemn(`${report.type} without a call`);
    } else if (report.type === 'fetch') {
      const block = await call.fetch(report.offset, report.length);
      if (!block || running.calls.get(report.call) !== call) return;
      channel.sendJson({ type: 'block', call: report.call } satisfies Order);
      channel.sendBytes(block);
    } else {
      running.calls.delete(report.call);
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
      const calls = [...running.calls.values()];
      running.calls.clear();
      if (calls.length === 1) calls[0]?.fail(deathError(running));
      child.stdio[3]?.destroy();
      options.onExit(calls.filter((call) => !call.isSettled()));
      resolve();
    };
    child.once('exit', (code, signal) => onEnd({ code, signal }));
    child.once('error', (error) => onEnd({ err: error }));
  });
}

/** One look at a working child: kills it when it holds too much memory or takes too long. */
async function look(running: Running): Promise<void> {
  const { child, options, calls } = running;
  if (calls.size === 0 || child.pid === undefined) return;
  for (const call of calls.values()) if (!call.isWaiting()) call.workedMs += WATCH_MS;
  const late = [...calls.values()].some(({ workedMs }) => workedMs > options.deadlineMs);
  const full = (await residentMemory(child.pid)) > options.memoryBytes;
  if ((!late && !full) || calls.size === 0 || running.dying) return;
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
