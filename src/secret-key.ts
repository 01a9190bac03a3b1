import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError } from './config.ts';

/**
 * The key that signs media URLs, kept in the data folder: made there on the first start.
 * @returns 32 bytes
 * @throws {ConfigError} when the file holds something else
 */
export async function loadSecretKey(dataDir: string): Promise<Buffer> {
  const file = join(dataDir, 'secret-key');
  const made = randomBytes(32).toString('base64');
  try {
    await writeFile(file, `${made}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    // The one error that says that there is a key already.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const key = Buffer.from((await readFile(file, 'utf8')).trim(), 'base64');
  if (key.length !== 32) {
    throw new ConfigError(
      `${file} must hold 32 bytes in base64: restore it from a backup, or delete it to get a new key (media URLs that were handed out end with it).`,
    );
  }
  return key;
}
