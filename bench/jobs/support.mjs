import { readdirSync, readFileSync } from 'node:fs';

/** A promise with its end outside. */
export function deferred() {
  let resolve;
  const promise = new Promise((onResolve) => {
    resolve = onResolve;
  });
  return { promise, resolve };
}

/** The numbers from 0 to `length`, each as `make` has it. */
export const times = (length, make = (n) => n) => Array.from({ length }, (_, n) => make(n));

/** The figure below which `percent` of the figures are. */
export function percentile(figures, percent) {
  const sorted = [...figures].sort((a, b) => a - b);
  return sorted[Math.max(Math.ceil((percent / 100) * sorted.length) - 1, 0)];
}

const TICKS_PER_SECOND = 100;

/** Fields of /proc/PID/stat from the state on: the name before them may hold blanks. */
const statOf = (pid) => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ');

/**
 * Seconds of CPU that a process, its children and those of them that have ended have used so far; NaN where there is
 * no /proc.
 */
export function cpuOfTree(root) {
  try {
    let ticks = sum(statOf(root).slice(11, 15));
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name)))
      ticks += ticksOfChild(pid, root);
    return ticks / TICKS_PER_SECOND;
  } catch {
    return Number.NaN;
  }
}

function ticksOfChild(pid, root) {
  try {
    const stat = statOf(pid);
    return Number(stat[1]) === root ? sum(stat.slice(11, 13)) : 0;
  } catch {
    // It ended while the folder was read.
    return 0;
  }
}

const sum = (figures) => figures.reduce((total, figure) => total + Number(figure), 0);

/** Seconds of CPU that this process has used so far. */
export function cpuOfSelf() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
