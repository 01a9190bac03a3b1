import { randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { createMediaUrls } from '../../src/services/media-urls.ts';
import type { Storage } from '../../src/storage/adapter.ts';
import { openStorage } from '../../src/storage/open.ts';
import { createTestDatabase } from '../support/database.ts';
import { createDataDir } from '../support/process.ts';
import { insertTeam, openRows, type Rows, type TeamRows } from '../support/rows.ts';
import { serverSettings } from '../support/server.ts';

const log = pino({ level: 'silent' });
export const SECRET = Buffer.alloc(32, 7);

/** A video with an original and products, and who makes URLs to them as its servers do. */
export interface StoredVideo extends TeamRows {
  readonly videoId: string;
  readonly prefix: string;
  readonly original: Buffer;
}

/** Servers on one database and one storage. */
export interface MediaServers {
  readonly bases: readonly string[];
  readonly databaseUrl: string;
  readonly rows: Rows;
  readonly storage: Storage;
  put(key: string, bytes: Buffer | string): Promise<void>;
  /** A team with a video of so many bytes; nothing was made of it yet. */
  store(options?: { readonly bytes?: number }): Promise<StoredVideo>;
}

/** Starts servers, which end with the test. */
export async function startMediaServers(
  count: number,
  settings: Readonly<Record<string, string>> = {},
): Promise<MediaServers> {
  const database = await createTestDatabase();
  onTestFinished(() => database.drop());
  const rows = await openRows(database.url);
  onTestFinished(() => rows.close());
  const dataDir = await createDataDir();
  const url = settings.SLUICE_STORAGE_URL ?? pathToFileURL(join(dataDir, 'media')).href;
  const storage = openStorage(url, { tempDir: join(dataDir, 'of-the-test'), log });
  const bases: string[] = [];
  for (let at = 0; at < count; at += 1) {
    const environment = serverSettings({
      databaseUrl: database.url,
      dataDir,
      ...settings,
      SLUICE_STORAGE_URL: url,
    });
    const app = await startApp(readConfig(environment), log);
    onTestFinished(() => app.stop());
    bases.push(app.url);
  }
  const put: MediaServers['put'] = async (key, bytes) => {
    const writer = await storage.create(key);
    await writer.write(Buffer.from(bytes));
    await writer.commit();
  };
  return {
    bases,
    databaseUrl: database.url,
    rows,
    storage,
    put,
    async store({ bytes = 1000 } = {}) {
      const team = await insertTeam(rows, `Team ${randomUUID()}`);
      const [videoId, taskId, original] = [randomUUID(), randomUUID(), randomBytes(bytes)];
      const storageKey = `teams/${team.teamId}/tasks/${taskId}/1/original`;
      await put(storageKey, original);
      await rows.all(
        `insert into videos (id, team_id, index_id, name, file_name, system_metadata, sha256, storage_key, version_import_id)
         values ($1, $2, $3, 'clip', 'clip.mp4', $4, $5, $6, gen_random_uuid())`,
        [
          videoId,
          team.teamId,
          team.indexId,
          { size: bytes, mimeType: 'video/mp4' },
          randomBytes(32).toString('hex'),
          storageKey,
        ],
      );
      return { ...team, videoId, prefix: `teams/${team.teamId}/tasks/${taskId}/2`, original };
    },
  };
}

/** Makes URLs as a server of this base does, for a team whose URLs were never called back. */
export const urlsAt = (base: string) =>
  createMediaUrls({ secret: SECRET, publicUrl: () => base, seconds: 3600 });
