import type { Logger } from 'pino';
import { withDatabase } from './command-database.ts';
import type { Config } from './config.ts';
import { createDatabase } from './db/client.ts';
import { loadSecrets } from './secret-key.ts';
import { type Rotated, rotateSecrets } from './services/rotate-secrets.ts';

/** What a shell expects of a program that was interrupted. */
const INTERRUPTED = 130;

/**
 * Encrypts every stored secret with the current key that a previous one has encrypted, and says how many. Servers on
 * DATABASE_URL may run meanwhile; our own database is in use by at most one process.
 * @returns the exit code: 0 when everything is encrypted with the current key now
 * @throws {DataDirLockedError} when a server runs on our own database
 */
export async function runRotateSecrets(
  config: Config,
  createLog: (config: Config) => Logger,
): Promise<number> {
  const log = createLog(config);
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  try {
    const rotated = await withDatabase({ config, log, besideServer: false }, (url) =>
      rotate({ config, log, url, signal: stop.signal }),
    );
    return report(rotated);
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    process.stderr.write('sluice: interrupted; what is done is kept, and the next run goes on from there\n');
    return INTERRUPTED;
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

interface Rotation {
  readonly config: Config;
  readonly log: Logger;
  readonly url: string;
  readonly signal: AbortSignal;
}

async function rotate({ config, log, url, signal }: Rotation): Promise<readonly Rotated[]> {
  const { secrets } = await loadSecrets(config);
  const client = createDatabase({ url, log, max: 1, applicationName: 'sluice rotate-secrets' });
  try {
    return await rotateSecrets(client.db, secrets, signal);
  } finally {
    await client.close();
  }
}

function report(kinds: readonly Rotated[]): number {
  for (const { what, rotated } of kinds) process.stdout.write(`${what}: ${rotated} encrypted anew\n`);
  const unreadable = kinds.filter((kind) => kind.unreadable > 0);
  for (const kind of unreadable) {
    process.stderr.write(
      `sluice: ${kind.what}: ${kind.unreadable} cannot be read; name their key in SLUICE_PREVIOUS_SECRET_KEYS and run this again\n`,
    );
  }
  return unreadable.length === 0 ? 0 : 1;
}
