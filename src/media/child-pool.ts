import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import type { CallReport, ChildCall } from './child-call.ts';
import { type ChildProgram, type MediaChild, startMediaChild } from './child-process.ts';
import { findSandbox } from './sandbox.ts';

export interface ChildPoolOptions<Said extends CallReport> {
  /** How many child processes at most. */
  readonly size: number;
  readonly log: Logger;
  readonly program: ChildProgram<Said>;
}

/** Calls in the order in which they came, and the child processes that serve them. */
export interface ChildPool<Call> {
  /**
   * Serves a call until it is settled.
   * @throws what the call fails with, and when the pool is closed
   */
  run(call: Call): Promise<void>;
  /** Has a call that was given up leave its place, or its child. */
  leave(call: Call): Promise<void>;
  /** Ends every child; calls that still run fail. */
  close(): Promise<void>;
  /** The process ids of the children alive. */
  pids(): number[];
}

const MIB = 1024 * 1024;

/** What a pool needs is checked when the first call comes; until then no process is started. */
export function createChildPool<Said extends CallReport, Call extends ChildCall<Said>>({
  size,
  log,
  program,
}: ChildPoolOptions<Said>): ChildPool<Call> {
  const children = new Set<MediaChild<Call>>();
  /** Those that were replaced, until they are gone. */
  const retired = new Set<MediaChild<Call>>();
  const queue: Call[] = [];
  const calls = new Set<Call>();
  let sandbox: Promise<readonly string[]> | undefined;
  let closed = false;

  function start(command: readonly string[]): MediaChild<Call> {
    const child = startMediaChild<Said, Call>({
      program,
      sandbox: command,
      log,
      onFree: () => {
        if (child.isUsedUp() && child.load() === 0) retire(child);
        pump(command);
      },
      onExit: (unserved) => {
        children.delete(child);
        for (const call of unserved) {
          call.alone = true;
          call.restart();
        }
        queue.unshift(...unserved);
        pump(command);
      },
    });
    children.add(child);
    return child;
  }

  /** It is free, so nothing is lost; its place is free at once. */
  function retire(child: MediaChild<Call>): void {
    if (!children.delete(child)) return;
    retired.add(child);
    child.kill();
    void child.exited.then(() => retired.delete(child));
  }

  /** The calls in their order, each to the child with the least to do. */
  function pump(command: readonly string[]): void {
    for (let call = queue[0]; call !== undefined && !closed; call = queue[0]) {
      const child = choose(call, command);
      if (!child) return;
      queue.shift();
      child.start(call);
    }
  }

  function choose(call: Call, command: readonly string[]): MediaChild<Call> | undefined {
    const [best] = [...children].filter((child) => child.takes(call)).sort((a, b) => a.load() - b.load());
    if (best?.load() === 0) return best;
    // One that only ends its last calls leaves its place already: they may wait for a source.
    const places = [...children].filter((child) => !child.isUsedUp()).length;
    if (places < size) return start(command);
    const idle = call.fresh ? [...children].find((child) => child.load() === 0) : undefined;
    if (!idle) return best;
    retire(idle);
    return start(command);
  }

  return {
    async run(call) {
      if (closed) throw new Error('The media pool is closed.');
      calls.add(call);
      queue.push(call);
      sandbox ??= findSandbox(program.memoryBytes + 512 * MIB);
      pump(await sandbox);
      await call.result.finally(() => calls.delete(call));
    },
    async leave(call) {
      const place = queue.indexOf(call);
      if (place >= 0) queue.splice(place, 1);
      await Promise.all([...children].map((child) => child.stopCall(call)));
    },
    async close() {
      closed = true;
      const ending = [...children, ...retired];
      for (const call of calls) call.fail(new Error('The media pool is closed.'));
      queue.length = 0;
      for (const child of ending) child.kill();
      await Promise.all(ending.map((child) => child.exited));
    },
    pids: () => [...children].flatMap(({ pid }) => (pid === undefined ? [] : [pid])),
  };
}

/** The built program of a child, also when this file itself runs from its source. @param name of its file */
export function builtChild(name: string): string {
  const path = import.meta.url.endsWith('.ts') ? `../../dist/media/${name}` : `./${name}`;
  return fileURLToPath(new URL(path, import.meta.url));
}
