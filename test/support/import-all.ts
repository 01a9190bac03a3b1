import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** Imports what it is given, says what that has opened, listens to and has loaded, and is left to end by itself. */
const IMPORTER = `
  // Opened by the first look at them, which is no harm.
  void [process.stdout, process.stderr];
  const look = () => ({ opened: process.getActiveResourcesInfo(), events: process.eventNames().map(String) });
  const before = look();
  for (const file of process.argv.slice(1)) await import(file);
  await new Promise((resolve) => setImmediate(resolve));
  const after = look();
  for (const name of before.opened) {
    if (after.opened.includes(name)) after.opened.splice(after.opened.indexOf(name), 1);
  }
  after.events = after.events.filter((name) => !before.events.includes(name));
  after.loadsFfmpeg = process.report.getReport().sharedObjects.some((file) => file.includes('node-av'));
  process.stdout.write(JSON.stringify(after));
`;

/** What importing did beside giving exports. */
export interface Imported {
  readonly stderr: string;
  /** Kinds of handles and requests that were not open before. */
  readonly opened: readonly string[];
  /** Events of the process that are listened to. */
  readonly events: readonly string[];
  readonly loadsFfmpeg: boolean;
  /** What lies in the folder that it ran in. */
  readonly written: readonly string[];
}

const run = promisify(execFile);

/**
 * Imports files in a process of its own, in an empty folder that is also its home.
 * @throws Error when one cannot be imported, or the process does not end by itself within two minutes
 */
export async function importAll(paths: readonly string[]): Promise<Imported> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-imports-'));
  try {
    const args = ['--input-type=module', '--eval', IMPORTER, ...paths];
    const options = { cwd: folder, env: { HOME: folder }, timeout: 120_000 };
    const { stdout, stderr } = await run(process.execPath, args, options).catch(shorten);
    return { stderr, written: await readdir(folder), ...JSON.parse(stdout) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The message of a command that failed repeats it, and with it the name of every file. */
function shorten(error: { readonly killed?: boolean; readonly stderr?: string }): never {
  throw new Error(error.killed === true ? 'it does not end by itself' : (error.stderr ?? String(error)));
}
