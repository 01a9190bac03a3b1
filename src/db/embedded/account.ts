import { constants } from 'node:fs';
import { access, readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/** Under whom a program runs. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

const NOBODY: Account = { uid: 65_534, gid: 65_534 };

/**
 * Under whom our PostgreSQL runs. It refuses to run as root; then it runs as the owner of the data folder, or as
 * `nobody` where that is root as well.
 *
 * @returns undefined when this process is not root: PostgreSQL then runs under the same account
 */
export async function chooseAccount(dataDir: string): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const { uid, gid } = await stat(dataDir);
  return uid === 0 ? nobody() : { uid, gid };
}

async function nobody(): Promise<Account> {
  const users = await readFile('/etc/passwd', 'utf8').catch(() => '');
  const fields = /^nobody:.*$/m.exec(users)?.[0].split(':');
  if (!fields) return NOBODY;
  // macOS gives nobody the number -2, which is 4294967294 to the calls that take it.
  return { uid: Number(fields[2]) >>> 0, gid: Number(fields[3]) >>> 0 };
}

/** The part of `spawn`'s options that makes a child run under the account. */
export function asAccount(account: Account | undefined): { uid?: number; gid?: number } {
  return account ? { uid: account.uid | 0, gid: account.gid | 0 } : {};
}

/**
 * Whether the account may enter a folder: itself and every folder above it. Without an account: whether this
 * process may.
 */
export async function canEnter(account: Account | undefined, folder: string): Promise<boolean> {
  return canUse(account, folder, constants.X_OK);
}

/** Whether the account may read and run a file, every folder above it included. */
export async function canRun(account: Account | undefined, file: string): Promise<boolean> {
  return canUse(account, file, constants.R_OK | constants.X_OK);
}

async function canUse(account: Account | undefined, path: string, wanted: number): Promise<boolean> {
  if (!account) {
    return access(path, wanted).then(
      () => true,
      () => false,
    );
  }
  const target = resolve(path);
  if (!(await isAllowed(account, target, wanted))) return false;
  for (let folder = dirname(target); ; folder = dirname(folder)) {
    if (!(await isAllowed(account, folder, constants.X_OK))) return false;
    if (folder === dirname(folder)) return true;
  }
}

async function isAllowed(account: Account, path: string, wanted: number): Promise<boolean> {
  const { uid, gid, mode } = await stat(path);
  const shift = uid === account.uid ? 6 : gid === account.gid ? 3 : 0;
  return ((mode >> shift) & wanted) === wanted;
}
