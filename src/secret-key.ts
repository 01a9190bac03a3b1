import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Config, ConfigError } from './config.ts';
import type { Database } from './db/client.ts';
import { createSecretBox, type SecretBox } from './services/secret-box.ts';
import { findMissingKeys } from './services/secret-keys.ts';

/** The server's secret, and what encrypts and decrypts with the keys that are derived from it and from those before it. */
export interface Secrets {
  readonly secret: Buffer;
  readonly secrets: SecretBox;
}

/**
 * Loads the server's secret: as configured, else from the data folder.
 * @throws {ConfigError} when the data folder holds something else
 */
export async function loadSecrets(config: Config): Promise<Secrets> {
  const secret = config.secretKey ?? (await loadSecretKey(config.dataDir));
  return { secret, secrets: createSecretBox({ current: secret, previous: config.previousSecretKeys }) };
}

/**
 * Sees whether what is stored can be read.
 * @throws {ConfigError} when an integration's credentials, or what signs webhooks, were encrypted with a key that is not known
 */
export async function checkSecrets(db: Database, secrets: SecretBox): Promise<void> {
  const missing = await findMissingKeys(db, secrets);
  if (missing.length === 0) return;
  throw new ConfigError(
    `SLUICE_SECRET_KEY: secrets in the database were encrypted with another key (${missing.join(', ')}). Set that key, or name it in SLUICE_PREVIOUS_SECRET_KEYS; \`sluice rotate-secrets\` then encrypts them with the new one.`,
  );
}

/**
 * The key that signs media URLs and encrypts stored secrets, kept in the data folder: made there on the first start.
 * @returns 32 bytes
 * @throws {ConfigError} when the file holds something else
 */
async function loadSecretKey(dataDir: string): Promise<Buffer> {
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
      `${file} must hold 32 bytes in base64: restore it from a backup, or delete it to get a new key (media URLs that were handed out end with it, and stored credentials cannot be read any more).`,
    );
  }
  return key;
}
