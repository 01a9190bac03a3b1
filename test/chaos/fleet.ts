import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { aliveOf, descendantsOf, type KnownProcess } from '../support/process.ts';
import { waitFor } from '../support/wait.ts';
import { type Ended, type Program, type Role, startProgram } from './program.ts';
import { type Home, programSettings } from './program-settings.ts';

const START_MS = 180_000;
const RESTART_PAUSE_MS = 300;
const GONE_MS = 30_000;

/** The end of a process that somebody has killed. */
export interface Kill {
  readonly role: Role;
  /** The name under which it was known to the database. */
  readonly name: string;
  readonly at: Date;
}

/** Processes of Sluice over one database and one storage; one that ends is started again at once. */
export interface Fleet {
  readonly kills: readonly Kill[];
  /** What went wrong with processes so far, a sentence each. */
  readonly faults: readonly string[];
  /** Messages of the level error with how often, over all processes. */
  complaints(): ReadonlyMap<string, number>;
  /** Starts an API and waits until it is ready. */
  startApi(): Promise<void>;
  startWorkers(count: number): Promise<void>;
  /** Of the API as it is now; null while there is none. */
  apiUrl(): string | null;
  /** Kills one that is ready, chosen by a number from 0 to below 1. */
  kill(role: Role, pick: number): Promise<void>;
  /** From now on the database is away, or there again: a start that fails meanwhile is no fault. */
  setDatabaseAway(isAway: boolean): void;
  /** Stops all, and waits until all that any of them ever started is gone. */
  stop(): Promise<void>;
  /** Ends all at once. */
  abandon(): Promise<void>;
}

/** Makes an empty one. */
export function createFleet(options: Home): Fleet {
  const kills: Kill[] = [];
  const faults: string[] = [];
  const started: Program[] = [];
  const seats = new Map<string, Program>();
  const families: KnownProcess[] = [];
  const doomed = new Set<Program>();
  let isClosing = false;
  let awayAt = 0;
  let isAway = false;

  async function start(seat: string, role: Role): Promise<void> {
    const name = `${seat}.${started.filter((one) => one.name.startsWith(`${seat}.`)).length + 1}`;
    const dataDir = join(options.folder, 'data', name);
    const logs = join(options.folder, 'logs');
    await Promise.all([dataDir, logs].map((path) => mkdir(path, { recursive: true })));
    if (isClosing) return;
    const beganAt = Date.now();
    const program = startProgram({
      name,
      role,
      logs,
      settings: programSettings({ ...options, name, dataDir }),
    });
    started.push(program);
    seats.set(seat, program);
    void program.ended
      .then((ended) => startAgain(program, { seat, ended, beganAt }))
      .catch((error: unknown) => faults.push(`${name}: could not be started again: ${error}`));
  }

  async function startAgain(
    program: Program,
    { seat, ended, beganAt }: { readonly seat: string; readonly ended: Ended; readonly beganAt: number },
  ): Promise<void> {
    if (isClosing) return;
    if (!doomed.has(program)) {
      const couldStart = !isAway && awayAt < beganAt;
      if (program.wasReady() || couldStart) {
        const said = program.complaints.at(-1) ?? 'it said nothing';
        faults.push(`${program.name}: ended by itself (${ended.code ?? ended.signal}): ${said}`);
      }
      await sleep(RESTART_PAUSE_MS);
    }
    await start(seat, program.role);
  }

  const readyOf = (role: Role) => [...seats.values()].filter((one) => one.role === role && one.isReady());
  const untilReady = (role: Role, count: number) =>
    waitFor(() => readyOf(role).length >= count, { what: `the start of each ${role}`, timeout: START_MS });

  return {
    kills,
    faults,
    complaints() {
      const counts = new Map<string, number>();
      for (const text of started.flatMap(({ complaints }) => complaints))
        counts.set(text, (counts.get(text) ?? 0) + 1);
      return counts;
    },
    async startApi() {
      await start('api', 'api');
      await untilReady('api', 1);
    },
    async startWorkers(count) {
      for (let n = 1; n <= count; n += 1) await start(`worker-${n}`, 'worker');
      await untilReady('worker', count);
    },
    apiUrl: () => readyOf('api')[0]?.url() ?? null,
    async kill(role, pick) {
      await untilReady(role, 1);
      const ready = readyOf(role);
      const victim = ready[Math.floor(pick * ready.length)];
      if (victim === undefined) return;
      families.push(...(await descendantsOf(victim.pid)));
      doomed.add(victim);
      kills.push({ role, name: victim.name, at: new Date() });
      victim.signal('SIGKILL');
      await victim.ended;
    },
    setDatabaseAway(away) {
      isAway = away;
      awayAt = Date.now();
    },
    async stop() {
      isClosing = true;
      const running = [...seats.values()].filter((one) => !one.hasEnded());
      for (const { pid } of running) families.push(...(await descendantsOf(pid)));
      await Promise.all(
        running.map(async (program) => {
          const isListening = program.isReady();
          const { code, signal } = await program.stop();
          // Before it listens to signals, one ends it as it would end any program.
          if (code !== 0 && isListening)
            faults.push(
              `${program.name}: did not stop when it was asked to, it ended with ${code ?? signal}`,
            );
        }),
      );
      const left = async () => (await aliveOf(families)).length === 0;
      await waitFor(left, { timeout: GONE_MS }).catch(() =>
        faults.push('children of processes that have ended are still there'),
      );
    },
    async abandon() {
      isClosing = true;
      for (const program of started) if (!program.hasEnded()) program.signal('SIGKILL');
      await Promise.all(started.map(({ ended }) => ended));
    },
  };
}
