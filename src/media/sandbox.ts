import { execFile } from 'node:child_process';
import { userInfo } from 'node:os';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * The command that a child is started through, as its first arguments; empty where the system offers
 * nothing. On Linux it takes the network away, puts a hard limit on private memory, which holds also
 * between two looks at the resident memory, and has the kernel end the child when its parent has died, also where
 * a file keeps it from noticing. None of it is relied on: a child has no use for a network, its
 * parent watches its memory, and it looks for its parent itself.
 */
export async function findSandbox(dataBytes: number): Promise<readonly string[]> {
  if (process.platform !== 'linux') return [];
  const limit = ['/usr/bin/prlimit', `--data=${dataBytes}`, '--core=0', '--'];
  // A process without privileges needs a user namespace of its own first, and many containers refuse that.
  const offline = ['/usr/bin/unshare', userInfo().uid === 0 ? '-n' : '-rn', '--'];
  // The last one: a change of privileges would take the signal back.
  const bound = ['/usr/bin/setpriv', '--no-new-privs', '--pdeathsig', 'KILL', '--'];
  const parts = [limit, offline, bound];
  const usable = await Promise.all(parts.map(works));
  return parts.flatMap((part, at) => (usable[at] ? part : []));
}

async function works([command = '', ...args]: readonly string[]): Promise<boolean> {
  try {
    await run(command, [...args, '/bin/true'], { env: {}, timeout: 10_000 });
    return true;
  } catch {
    return false;
  }
}
