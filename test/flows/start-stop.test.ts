import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { createTestClient } from '../support/client.ts';
import { graphql } from '../support/graphql.ts';
import {
  createDataDir,
  type Ended,
  findEmbeddedDatabase,
  runSluice,
  startServer,
} from '../support/process.ts';
import { openRows } from '../support/rows.ts';

const SECRET_KEY = randomBytes(32).toString('base64');

const VIEWER = graphql(`query StartStopViewer { viewer { keyName scopes defaultTeam { id name } } }`);
const IMPORT = graphql(`
  mutation StartStopImport($input: StartImportInput!) {
    startImport(input: $input) { __typename ... on StartImportSuccess { import { id } } }
  }
`);
const STATUS = graphql(
  `query StartStopStatus($id: ID!) { importStatus(id: $id) { found: counts { found } } }`,
);

const run = async (settings: Record<string, string>, ...args: string[]): Promise<Ended> =>
  await runSluice({ PORT: '0', SLUICE_SECRET_KEY: SECRET_KEY, ...settings }, args).ended;

/** The one line of a refusal; the log's own lines are JSON. */
function refusalOf({ code, signal, stdout, stderr }: Ended): string {
  const lines = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{'));
  expect({ code, signal, stdout, lines: lines.length }).toEqual({
    code: 1,
    signal: null,
    stdout: '',
    lines: 1,
  });
  expect(stderr).not.toMatch(/^\s+at /m);
  expect(stderr).not.toContain(SECRET_KEY);
  return lines[0] ?? '';
}

/** An empty database of this test's own, on the server of the whole run. */
async function createEmptyDatabase(): Promise<string> {
  const admin = await openRows(inject('databaseUrl'));
  const name = `start_${randomBytes(8).toString('hex')}`;
  await admin.all(`create database ${name}`);
  onTestFinished(async () => {
    await admin.all(`drop database ${name} with (force)`);
    await admin.close();
  });
  return changed(inject('databaseUrl'), { pathname: `/${name}` });
}

const changed = (
  url: string,
  parts: Partial<Record<'username' | 'password' | 'port' | 'pathname', string>>,
) => Object.assign(new URL(url), parts).href;

async function listenSomewhere(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return address.port;
}

describe('the program ends with exit code 1 and one line that says what to do', () => {
  test('when the password of the database is wrong', async () => {
    const DATABASE_URL = changed(inject('databaseUrl'), { password: 'not-the-password' });
    const line = refusalOf(await run({ DATABASE_URL }));
    expect(line).toMatch(/^sluice: The database at 127\.0\.0\.1:\d+\/\w+ refused the user or password/);
    expect(line).toContain('check DATABASE_URL');
    expect(line).not.toContain('not-the-password');
  });

  test('when nobody answers at the address of the database', async () => {
    const line = refusalOf(await run({ DATABASE_URL: changed(inject('databaseUrl'), { port: '1' }) }));
    expect(line).toMatch(/cannot be reached \(connect ECONNREFUSED 127\.0\.0\.1:1\): check that it runs/);
    const DATABASE_URL = await createEmptyDatabase();
    const listen = changed(DATABASE_URL, { port: '1' });
    expect(refusalOf(await run({ DATABASE_URL, LISTEN_DATABASE_URL: listen }))).toContain(
      'cannot be reached',
    );
  });

  test('when its user may only read the database', async () => {
    const url = await createEmptyDatabase();
    const rows = await openRows(url);
    const role = `reader_${randomBytes(8).toString('hex')}`;
    await rows.all(`create role ${role} login password 'reads'`);
    await rows.all(`alter role ${role} set default_transaction_read_only = on`);
    const name = new URL(url).pathname.slice(1);
    await rows.all(`alter database ${name} owner to ${role}`);
    const DATABASE_URL = changed(url, { username: role, password: 'reads' });
    const line = refusalOf(await run({ DATABASE_URL }));
    await rows.all(`alter database ${name} owner to current_user`);
    await rows.all(`drop role ${role}`);
    await rows.close();
    expect(line).toMatch(/is read-only: set default_transaction_read_only to off/);
  });

  test('when a newer version has migrated the database', async () => {
    const DATABASE_URL = await createEmptyDatabase();
    const { code } = await run({ DATABASE_URL }, 'migrate');
    expect(code).toBe(0);
    const rows = await openRows(DATABASE_URL);
    await rows.all(
      `insert into drizzle.__drizzle_migrations (hash, created_at, name) values ('x', 4000000000000, '20991231235959_future')`,
    );
    await rows.close();
    const line = refusalOf(await run({ DATABASE_URL }));
    expect(line).toContain('newer than this program: it has the migration 20991231235959_future');
  });

  test('when its port is taken', async () => {
    const port = await listenSomewhere();
    const line = refusalOf(await run({ DATABASE_URL: await createEmptyDatabase(), PORT: String(port) }));
    expect(line).toBe(
      `sluice: Port ${port} of 127.0.0.1 is taken: stop what listens there, or set PORT to another one (0 takes a free one).`,
    );
  });

  test('when its data folder is none', async () => {
    const SLUICE_DATA_DIR = join(await createDataDir(), 'file');
    await writeFile(SLUICE_DATA_DIR, '');
    expect(refusalOf(await run({ SLUICE_DATA_DIR }))).toContain(`data folder ${SLUICE_DATA_DIR}`);
  });

  test('when it may not listen to addresses that are none, before it starts a database', async () => {
    const SLUICE_DATA_DIR = await createDataDir();
    const ended = await run({ SLUICE_DATA_DIR, SLUICE_ALLOW_ADDRESSES: '127.0.0.1/32,nowhere' });
    expect(refusalOf(ended)).toContain('SLUICE_ALLOW_ADDRESSES: "nowhere" is no address');
    await expect(stat(join(SLUICE_DATA_DIR, 'postgres'))).rejects.toThrow('ENOENT');
  });
});

describe('settings', () => {
  test('that are wrong are named all at once, without a word of what they hold', async () => {
    const { code, stdout, stderr } = await runSluice({
      PORT: '99999',
      DATABASE_URL: 'postgresql://user:secret-password@127.0.0.1/db',
      LISTEN_DATABASE_URL: 'mysql://user:secret-password@127.0.0.1/db',
      SLUICE_LOG_LEVEL: 'loud',
      SLUICE_LEASE_SECONDS: '-1',
      SLUICE_REQUIREMENTS: '{"minWidth":"wide"}',
    }).ended;
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    const named = stderr.split('\n').map((line) => /^(?:sluice: )?([A-Z_]+)\S*: ./.exec(line)?.[1]);
    expect(named.filter(Boolean).sort()).toEqual([
      'LISTEN_DATABASE_URL',
      'PORT',
      'SLUICE_LEASE_SECONDS',
      'SLUICE_LOG_LEVEL',
      'SLUICE_REQUIREMENTS',
      'SLUICE_SECRET_KEY',
    ]);
    expect(stderr.trim().split('\n')).toHaveLength(6);
    expect(stderr).not.toContain('secret-password');
  });

  test('must have a secret key with a database of somebody else', async () => {
    const ended = await runSluice({ DATABASE_URL: inject('databaseUrl') }).ended;
    expect(refusalOf(ended)).toMatch(/^sluice: SLUICE_SECRET_KEY: required with DATABASE_URL/);
  });
});

describe('the first start on a data folder', () => {
  test('shows its key once, on stdout and in no log, and has the folder for itself', async () => {
    const SLUICE_DATA_DIR = await createDataDir();
    const settings = { PORT: '0', SLUICE_DATA_DIR, SLUICE_LOG_LEVEL: 'trace' };
    const first = await startServer(settings);
    const key = /^ {2}(slc_[\w-]{43})$/m.exec(first.stdout())?.[1] ?? 'none';
    expect(first.stdout().split(key)).toHaveLength(3);
    expect(first.stdout()).toContain(`GraphiQL: ${first.url}/graphql#key=${key}\n`);
    const { viewer } = await createTestClient({ url: first.url, key }).query(VIEWER);
    expect(viewer).toMatchObject({ scopes: ['ADMIN'], defaultTeam: { name: 'Default team' } });
    const { status } = await fetch(`${first.url}/health/ready`);
    expect(status).toBe(200);

    const second = await runSluice(settings).ended;
    expect(refusalOf(second)).toContain(
      `${SLUICE_DATA_DIR} is in use by another Sluice process (pid ${first.pid})`,
    );
    expect((await fetch(`${first.url}/health/ready`)).status).toBe(200);

    const secret = (await readFile(join(SLUICE_DATA_DIR, 'secret-key'), 'utf8')).trim();
    const database = new URL((await findEmbeddedDatabase(SLUICE_DATA_DIR)).url);
    const stopped = await first.end('SIGTERM');
    expect(stopped).toMatchObject({ code: 0, signal: null });

    const again = await startServer(settings);
    expect(await createTestClient({ url: again.url, key }).query(VIEWER)).toEqual({ viewer });
    const stoppedAgain = await again.end('SIGTERM');
    expect(stoppedAgain).toMatchObject({ code: 0, signal: null });
    expect(stoppedAgain.stdout).not.toContain('slc_');
    for (const text of [stopped.stderr, stoppedAgain.stderr, second.stderr]) {
      for (const hidden of ['slc_', secret, database.password]) expect(text).not.toContain(hidden);
    }
    expect((await readFile(join(SLUICE_DATA_DIR, 'secret-key'), 'utf8')).trim()).toBe(secret);
  }, 180_000);
});

describe('two servers that start at once on one empty database', () => {
  test('make one team and one key, and both work with it', async () => {
    const DATABASE_URL = await createEmptyDatabase();
    const settings = { PORT: '0', DATABASE_URL, SLUICE_SECRET_KEY: SECRET_KEY };
    const dirs = [await createDataDir(), await createDataDir()];
    const servers = await Promise.all(
      dirs.map((SLUICE_DATA_DIR) => startServer({ ...settings, SLUICE_DATA_DIR })),
    );
    const keys = servers.flatMap((server) => [...server.stdout().matchAll(/^ {2}(slc_\S+)$/gm)]);
    expect(keys).toHaveLength(1);
    const key = keys[0]?.[1] ?? '';
    const clients = servers.map(({ url }) => createTestClient({ url, key }));
    const [one, other] = await Promise.all(clients.map((client) => client.query(VIEWER)));
    expect(other).toEqual(one);
    for (const [index, client] of clients.entries()) {
      const url = 'http://127.0.0.1/video.mp4';
      const videos = [{ externalId: `v${index}`, url, fileName: 'video.mp4' }];
      const input = { from: { videos: { systemName: 'dam', videos } } };
      const { startImport } = await client.query(IMPORT, { input });
      if (startImport.__typename !== 'StartImportSuccess') throw new Error(startImport.__typename);
      const seen = await clients[1 - index]?.query(STATUS, { id: startImport.import.id });
      expect(seen).toMatchObject({ importStatus: { found: { found: 1 } } });
    }
    const rows = await openRows(DATABASE_URL);
    for (const table of ['teams', 'indexes', 'api_keys', 'api_key_teams'])
      expect(await rows.count(table)).toBe(1);
    await rows.close();
    const ends = await Promise.all(servers.map((server) => server.end('SIGTERM')));
    expect(ends.map(({ code }) => code)).toEqual([0, 0]);
  }, 180_000);
});
