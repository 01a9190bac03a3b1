import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setInterval } from 'node:timers/promises';

const LOOK_MS = 200;
const PAGE = 4096;

/**
 * Looks at a server and the processes below it all the time.
 * @returns stop: the most memory that the server held, and any of its media children (bytes, resident), how many children there were
 */
export function watchProcesses(pid) {
  const stop = new AbortController();
  const seen = { server: 0, child: 0, children: new Set() };
  const looking = (async () => {
    for await (const _ of setInterval(LOOK_MS, undefined, { signal: stop.signal })) look(pid, seen);
  })().catch(() => {});
  return async () => {
    stop.abort();
    await looking;
    look(pid, seen);
    return { server: seen.server, child: seen.child, children: seen.children.size };
  };
}

function look(pid, seen) {
  seen.server = Math.max(seen.server, residentOf(pid));
  for (const child of mediaChildrenOf(pid)) {
    seen.children.add(child);
    seen.child = Math.max(seen.child, residentOf(child));
  }
}

/** Node's processes right below the server. */
function mediaChildrenOf(pid) {
  return read(() => readdirSync('/proc'), [])
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => read(() => parentOf(name), 0) === pid)
    .filter((name) => read(() => readlinkSync(`/proc/${name}/exe`), '') === process.execPath)
    .map(Number);
}

function parentOf(name) {
  const text = readFileSync(`/proc/${name}/stat`, 'utf8');
  return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]);
}

const residentOf = (pid) =>
  read(() => Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * PAGE, 0);

/** A process may end while it is looked at. */
function read(make, otherwise) {
  try {
    return make();
  } catch {
    return otherwise;
  }
}
