import { execFile } from 'node:child_process';
import { readFile, readlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename } from 'node:path';
import { promisify } from 'node:util';

const CLOCK_TICKS_PER_SECOND = 100;
const START_TOLERANCE_SECONDS = 5;

/**
 * When a process started, as a text that is different for every process that ever has this pid on this machine
 * since it booted; undefined when there is no such process, or when it is dead and merely not reaped.
 */
export async function processStart(pid: number): Promise<string | undefined> {
  if (process.platform !== 'linux') return (await describeProcess(pid))?.started;
  const stat = await processStat(pid);
  return stat && !/^[ZX]/.test(stat.state) ? stat.startTicks : undefined;
}

/**
 * Names the set of processes in which pids mean something: one boot of one machine, and within it one PID
 * namespace. Two processes that see different names cannot look each other up by pid.
 */
export async function processSpace(): Promise<string> {
  try {
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8');
    return `${boot.trim()} ${await readlink('/proc/self/ns/pid')}`;
  } catch {
    return hostname();
  }
}

/** What is known of a postmaster: from its postmaster.pid, and from what was noted when it was started. */
export interface PostmasterClaim {
  readonly pid: number;
  /** The database folder, without symbolic links in its path. */
  readonly folder: string;
  /** From postmaster.pid, in seconds since 1970. */
  readonly startedAt: number;
  /** What `processStart` gave for this pid when it was started; undefined when that is not known. */
  readonly started: string | undefined;
}

/**
 * Whether the process with this pid really is the postmaster of this folder: pids are given out again, and a
 * stranger must never be taken for it, let alone be signalled.
 */
export async function isPostmaster(claim: PostmasterClaim): Promise<boolean> {
  const started = await processStart(claim.pid);
  if (started === undefined) return false;
  if (claim.started !== undefined && claim.started !== started) return false;
  if (process.platform !== 'linux') return isPostmasterByPs(claim);
  const [program, folder] = await Promise.all([
    readlink(`/proc/${claim.pid}/exe`).catch(() => ''),
    readlink(`/proc/${claim.pid}/cwd`).catch(() => ''),
  ]);
  // The program's file may have been replaced since; Linux then adds " (deleted)" to its name. A postmaster
  // works in its database folder.
  if (!/^postgres\b/.test(basename(program)) || folder !== claim.folder) return false;
  return claim.started !== undefined || (await startedNear(started, claim.startedAt));
}

async function startedNear(startTicks: string, startedAt: number): Promise<boolean> {
  const stat = await readFile('/proc/stat', 'utf8');
  const bootTime = Number(/^btime (\d+)$/m.exec(stat)?.[1]);
  const seconds = bootTime + Number(startTicks) / CLOCK_TICKS_PER_SECOND;
  return Math.abs(seconds - startedAt) <= START_TOLERANCE_SECONDS;
}

async function processStat(pid: number): Promise<{ state: string; startTicks: string } | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8');
    // proc_pid_stat(5): the name, second of the fields, stands in parentheses and may itself contain blanks
    // and parentheses; the state is the 3rd field, the start time in clock ticks after boot the 22nd.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const [state, startTicks] = [fields[0], fields[19]];
    return state !== undefined && startTicks !== undefined ? { state, startTicks } : undefined;
  } catch {
    return undefined;
  }
}

async function isPostmasterByPs(claim: PostmasterClaim): Promise<boolean> {
  const found = await describeProcess(claim.pid);
  if (!found?.command.includes('postgres') || !found.command.includes(claim.folder)) return false;
  return Math.abs(Date.parse(found.started) / 1000 - claim.startedAt) <= START_TOLERANCE_SECONDS;
}

async function describeProcess(pid: number): Promise<{ started: string; command: string } | undefined> {
  const options = { env: { PATH: '/bin:/usr/bin', LC_ALL: 'C' } };
  try {
    const { stdout } = await promisify(execFile)(
      'ps',
      ['-o', 'state=,lstart=,command=', '-p', `${pid}`],
      options,
    );
    const match = /^(\S+)\s+(\S+\s+\S+\s+\S+\s+\S+\s+\S+)\s+(.*)$/.exec(stdout.trim());
    if (!match?.[1] || match[1].startsWith('Z')) return undefined;
    return { started: match[2] ?? '', command: match[3] ?? '' };
  } catch {
    return undefined;
  }
}
