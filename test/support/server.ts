import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { type App, startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { createTestClient, type TestClient } from './client.ts';
import { createTestDatabase } from './database.ts';

export const TEST_KEY = `slc_${'t'.repeat(43)}`;

export interface TestServer extends TestClient {
  readonly app: App;
  readonly url: string;
  readonly key: string;
  readonly databaseUrl: string;
  /** Where its bytes are. */
  readonly dataDir: string;
  /** Stops it and removes all that it had. */
  stop(): Promise<void>;
}

/**
 * A whole Sluice in this process, on a free port, a database of its own and a data folder of its own.
 * @param role `api`: it runs no job, so that what waits for a worker waits on
 */
export async function startTestServer(
  settings: Readonly<Record<string, string>> = {},
  role: 'all' | 'api' = 'all',
): Promise<TestServer> {
  const database = await createTestDatabase();
  const dataDir = await mkdtemp(join(tmpdir(), 'sluice-server-'));
  await chmod(dataDir, 0o711);
  const config = readConfig(serverSettings({ databaseUrl: database.url, dataDir, ...settings }));
  const app = await startApp(config, pino({ level: config.logLevel }, pino.destination(2)), role);
  return {
    ...createTestClient({ url: app.url, key: TEST_KEY }),
    app,
    url: app.url,
    key: TEST_KEY,
    databaseUrl: database.url,
    dataDir,
    async stop() {
      await app.stop();
      await database.drop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/**
 * The environment of a test's server: short times, so that faults show soon. But no process that only stands still for some
 * seconds, as on a busy machine, loses its lease.
 */
export function serverSettings({
  databaseUrl,
  dataDir,
  ...settings
}: { readonly databaseUrl: string; readonly dataDir: string } & Readonly<Record<string, string>>): Record<
  string,
  string
> {
  return {
    PORT: '0',
    DATABASE_URL: databaseUrl,
    SLUICE_DATA_DIR: dataDir,
    SLUICE_SECRET_KEY: Buffer.alloc(32, 7).toString('base64'),
    SLUICE_API_KEY: TEST_KEY,
    SLUICE_ALLOW_ADDRESSES: '127.0.0.1/32',
    SLUICE_PRODUCTION: '0',
    SLUICE_LEASE_SECONDS: '5',
    SLUICE_SWEEP_SECONDS: '1',
    SLUICE_GRACE_SECONDS: '5',
    SLUICE_RETRY_BASE_SECONDS: '0.2',
    SLUICE_LOG_LEVEL: 'warn',
    ...settings,
  };
}
