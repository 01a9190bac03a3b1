import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { startApp } from '../../dist/app.js';
import { readConfig } from '../../dist/config.js';

/** The API as anybody would run it, in production, its workers elsewhere. */
export async function serve(databaseUrl) {
  const config = readConfig({
    PORT: '0',
    DATABASE_URL: databaseUrl,
    SLUICE_DATA_DIR: await mkdtemp(join(tmpdir(), 'sluice-bench-data-')),
    SLUICE_PRODUCTION: '1',
    SLUICE_LOG_LEVEL: 'warn',
    SLUICE_SECRET_KEY: Buffer.alloc(32, 7).toString('base64'),
  });
  const app = await startApp(config, pino({ level: 'warn' }, pino.destination(2)), 'api');
  return `${app.url}/graphql`;
}
