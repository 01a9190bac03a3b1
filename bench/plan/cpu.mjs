import { readdirSync, readFileSync } from 'node:fs';

const TICK_MS = 10;

/**
 * What a server and the processes below it have used so far, in milliseconds of CPU: its own, that of its media
 * processes, also of those that have ended, and that of its PostgreSQL; 0 where there is no /proc.
 */
export function cpuOfServer(pid) {
  const rows = processes();
  const server = rows.get(pid);
  const used = { server: server?.own ?? 0, media: server?.ofEnded ?? 0, database: 0 };
  for (const row of rows.values()) {
    if (row.pid === pid || !isBelow(rows, row, pid)) continue;
    if (row.name === 'postgres') used.database += row.own + row.ofEnded;
    else used.media += row.own;
  }
  return used;
}

/** Of all of it, from one reading to a later one. */
export const cpuBetween = (before, after) =>
  Object.fromEntries(Object.keys(after).map((key) => [key, after[key] - before[key]]));

function processes() {
  const rows = new Map();
  for (const name of read(() => readdirSync('/proc')) ?? []) {
    if (!/^\d+$/.test(name)) continue;
    const row = read(() => parse(readFileSync(`/proc/${name}/stat`, 'utf8')));
    if (row) rows.set(row.pid, row);
  }
  return rows;
}

/** proc_pid_stat(5): the name stands in parentheses; times are the 14th to the 17th field. */
function parse(text) {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const ticks = fields.slice(11, 15).map(Number);
  return {
    pid: Number.parseInt(text, 10),
    parent: Number(fields[1]),
    name: text.slice(text.indexOf('(') + 1, text.lastIndexOf(')')),
    own: (ticks[0] + ticks[1]) * TICK_MS,
    ofEnded: (ticks[2] + ticks[3]) * TICK_MS,
  };
}

function isBelow(rows, row, pid) {
  for (let at = row; at !== undefined && at.pid > 1; at = rows.get(at.parent))
    if (at.parent === pid) return true;
  return false;
}

/** A process may end while it is looked at. */
function read(make) {
  try {
    return make();
  } catch {
    return null;
  }
}
