import { type ChildProcess, spawn } from 'node:child_process';
import type { Duplex, Readable } from 'node:stream';
import type { Logger } from 'pino';
import type { z } from 'zod';
import { CHILD_ARGUMENT, type Channel, createChannel } from './channel.ts';
import type { CallReport, ChildCall, Heard, Ready } from './child-call.ts';
import { MediaProcessError, type MediaProcessFailure } from './errors.ts';
import { residentMemory } from './resident-memory.ts';

/** The program that children of a pool run, and what it may take and say. */
export interface ChildProgram<Said extends CallReport> {
  /** The script. */
  readonly path: string;
  readonly memoryBytes: number;
  /** Node's own heap, in MiB: far below the limit for all, for what media needs lies outside of it. */
  readonly heapMib: number;
  /** What a child may say; anything else ends it. */
  readonly reports: z.ZodType<Ready | Said>;
  /** The longest message of a child, in bytes. */
  readonly longestReport: number;
  /** After how many calls it takes no more. */
  readonly maxCalls: number;
  /** After how many milliseconds it takes no more. */
  readonly maxAgeMs: number;
  /** How many calls that need no child to themselves it has at once. */
  readonly maxShared: number;
  /** How long it may take to leave a call that nobody waits for; 0: it is killed at once. */
  readonly stopGraceMs: number;
}

export interface MediaChildOptions<Said extends CallReport, Call extends ChildCall<Said>> {
  readonly program: ChildProgram<Said>;
  /** The command that it is started through, or none. */
  readonly sandbox: readonly string[];
  readonly log: Logger;
  /** Called when a call is over, and when it is too old to take more. */
  readonly onFree: () => void;
  /** Called with the calls that it leaves: it had several, and whose fault its end was is not known. */
  readonly onExit: (unserved: readonly Call[]) => void;
}

/** A running child process, with one call, or several that share it while they wait for their sources. */
export interface MediaChild<Call> {
  readonly pid: number | undefined;
  /** How many calls it has now. */
  load(): number;
  /** Whether it has room for a call. */
  takes(call: Call): boolean;
  /** Whether it takes no more calls. */
  isUsedUp(): boolean;
  start(call: Call): void;
  /** Tells it that nobody waits for its call any more; killed if it does not leave it in time. Where it has none, settles when it is gone. */
  stopCall(call: Call): Promise<void>;
  kill(): void;
  readonly exited: Promise<void>;
}

const WATCH_MS = 100;
/** More than a child has to say between two looks at it: it would keep this process busy. */
const MOST_REPORTS = 2000;

interface Running<Said extends CallReport, Call extends ChildCall<Said>> {
  readonly child: ChildProcess;
  readonly options: MediaChildOptions<Said, Call>;
  /** By number. */
  readonly calls: Map<number, Call>;
  readonly startedAt: number;
  /** How many it was given. */
  given: number;
  /** Whether it has ever spoken: one that dies before that died of its own, and not of a file. */
  ready: boolean;
  /** How many reports came since the last look. */
  reports: number;
  dying: boolean;
  gone: boolean;
  killedFor: MediaProcessFailure | undefined;
}

/** Starts a child: no environment, no folder of ours, no terminal, low priority, one socket. */
export function startMediaChild<Said extends CallReport, Call extends ChildCall<Said>>(
  options: MediaChildOptions<Said, Call>,
): MediaChild<Call> {
  const { program } = options;
  const child = spawnChild(options.sandbox, program);
  const state = { given: 0, ready: false, reports: 0, dying: false, gone: false, killedFor: undefined };
  const calls = new Map<number, Call>();
  const running: Running<Said, Call> = { child, options, calls, startedAt: performance.now(), ...state };
  const channel = connect(running);
  const watch = setInterval(() => void look(running), WATCH_MS);
  logOutput(child.stderr, options.log, child.pid);
  const isOld = () => performance.now() - running.startedAt >= program.maxAgeMs;
  const isUsedUp = () => running.given >= program.maxCalls || isOld();
  // A longer time than a timer knows is no age.
  const ageing =
    program.maxAgeMs < 2 ** 31 ? setTimeout(options.onFree, program.maxAgeMs).unref() : undefined;
  const exited = whenGone(running).then(() => {
    clearInterval(watch);
    clearTimeout(ageing);
  });
  const hasRoom = (call: Call) =>
    calls.size === 0 ||
    (!call.alone && calls.size < program.maxShared && [...calls.values()].every(({ alone }) => !alone));
  const fits = (call: Call) => hasRoom(call) && (!call.fresh || running.given === 0);
  return {
    pid: child.pid,
    load: () => calls.size,
    takes: (call) => !running.gone && !running.dying && !isUsedUp() && fits(call),
    isUsedUp,
    start(call) {
      const number = ++running.given;
      calls.set(number, call);
      channel.sendJson({ ...call.order, call: number });
    },
    async stopCall(call) {
      const number = [...calls.keys()].find((key) => calls.get(key) === call);
      if (number === undefined) return;
      if (program.stopGraceMs === 0) {
        kill(running);
        return await exited;
      }
      channel.sendJson({ type: 'stop', call: number });
      setTimeout(() => calls.get(number) === call && kill(running), program.stopGraceMs).unref();
    },
    kill: () => kill(running),
    exited,
  };
}

function spawnChild(
  sandbox: readonly string[],
  { path, heapMib }: Pick<ChildProgram<CallReport>, 'path' | 'heapMib'>,
): ChildProcess {
  const flags = [`--max-old-space-size=${heapMib}`, '--no-warnings'];
  const command = [...sandbox, process.execPath, ...flags, path, CHILD_ARGUMENT];
  return spawn(command[0] ?? '', command.slice(1), {
    env: {},
    cwd: '/',
    // A group of its own: what a terminal or a supervisor sends to ours does not reach it.
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  });
}

interface Mortal {
  readonly child: ChildProcess;
  dying: boolean;
  gone: boolean;
  killedFor: MediaProcessFailure | undefined;
}

function kill(running: Mortal, reason?: MediaProcessFailure): void {
  if (running.gone) return;
  running.killedFor ??= reason;
  running.dying = true;
  const { child } = running;
  try {
    // Its whole group, in case it was made to start processes of its own.
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has not come so far as to have a group, or is gone already.
    child.kill('SIGKILL');
  }
}

/** Listens to the child. What it says is believed only as far as it makes sense. */
function connect<Said extends CallReport, Call extends ChildCall<Said>>(
  running: Running<Said, Call>,
): Channel {
  const { child, options, calls } = running;
  const { log, program } = options;
  const condemn = (problem: string) => {
    if (running.gone || running.dying) return;
    log.warn({ pid: child.pid, problem }, 'media child: killed, it sent what it must not');
    kill(running, 'CRASHED');
  };
  // Number 3 of its stdio is a socket, both ways, as it was asked for.
  const socket = child.stdio[3] as Duplex;
  socket.on('error', (error) => log.debug({ err: error, pid: child.pid }, 'media child: channel'));
  const channel = createChannel({
    socket,
    maxBytes: program.longestReport,
    onJson: (message) => {
      if (running.dying || running.gone) return;
      const parsed = program.reports.safeParse(message);
      if (!parsed.success) condemn(parsed.error.message);
      else if (++running.reports > MOST_REPORTS) condemn('too many reports');
      else onReport(parsed.data);
    },
    onViolation: condemn,
  });

  function onReport(report: Ready | Said): void {
    if (isReady(report)) {
      running.ready = true;
      // Starting it is no work on a file, and takes long on a busy machine.
      for (const call of calls.values()) call.workedMs = 0;
      return;
    }
    const call = calls.get(report.call);
    if (!call) {
      condemn(`${report.type} without a call`);
      return;
    }
    call.heardAtMs = call.workedMs;
    const heard = call.hear(report, {
      sendBlock(bytes) {
        if (calls.get(report.call) !== call) return;
        channel.sendJson({ type: 'block', call: report.call });
        channel.sendBytes(bytes);
      },
      condemn,
    });
    if (typeof heard === 'string') end(report.call, heard);
    else void heard.then((later) => end(report.call, later));
  }

  function end(number: number, heard: Heard): void {
    if (heard === 'LAST' && calls.delete(number)) options.onFree();
  }
  return channel;
}

/** A guard of its own, for the compiler does not see that what is about a call is never `ready`. */
const isReady = <Said extends CallReport>(report: Ready | Said): report is Ready => report.type === 'ready';

function whenGone<Said extends CallReport, Call extends ChildCall<Said>>(
  running: Running<Said, Call>,
): Promise<void> {
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
async function look<Said extends CallReport, Call extends ChildCall<Said>>(
  running: Running<Said, Call>,
): Promise<void> {
  const { child, options, calls } = running;
  running.reports = 0;
  if (calls.size === 0 || child.pid === undefined) return;
  for (const call of calls.values()) if (!call.isWaiting()) call.workedMs += WATCH_MS;
  const late = [...calls.values()].some(isLate);
  const full = (await residentMemory(child.pid)) > options.program.memoryBytes;
  if ((!late && !full) || calls.size === 0 || running.dying) return;
  const reason = full ? 'OUT_OF_MEMORY' : 'TIMEOUT';
  options.log.warn({ pid: child.pid, reason }, 'media child: killed');
  kill(running, reason);
}

const isLate = ({ workedMs, deadlineMs, heardAtMs, silenceMs = Number.POSITIVE_INFINITY }: ChildCall) =>
  workedMs > deadlineMs || workedMs - heardAtMs > silenceMs;

function deathError({ ready, killedFor }: Pick<Running<never, never>, 'ready' | 'killedFor'>): Error {
  if (!ready && !killedFor) return new Error('A media process could not be started.');
  const reason = killedFor ?? 'CRASHED';
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
