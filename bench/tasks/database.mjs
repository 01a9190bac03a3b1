import { randomUUID } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { pino } from 'pino';
import { startPostgres } from '../../dist/db/embedded/start.js';

/** Our own PostgreSQL in a temporary folder, with a database for each size of the list. */
export async function startDatabase() {
  const dataDir = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  // Started by root, PostgreSQL runs under another account, which has to get through.
  await chmod(dataDir, 0o711);
  const postgres = await startPostgres({
    dataDir,
    log: pino({ level: 'warn' }),
    settings: { max_connections: '200', max_wal_size: '4GB' },
  });
  const pidFile = await readFile(join(postgres.location, 'data', 'postmaster.pid'), 'utf8');
  return {
    /** The pid of PostgreSQL's first process. */
    postmaster: Number(pidFile.split('\n')[0]),
    async create() {
      const name = `bench_${randomUUID().replaceAll('-', '')}`;
      await runOn(postgres.url, (client) => client.query(`create database ${name}`));
      const url = new URL(postgres.url);
      url.pathname = `/${name}`;
      return url.href;
    },
    async stop() {
      await postgres.stop();
      await rm(postgres.location, { recursive: true, force: true });
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Does something with a connection of its own. */
export async function runOn(url, work) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
