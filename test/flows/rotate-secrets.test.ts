import { randomBytes, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { createDatabase } from '../../src/db/client.ts';
import { openCredentials } from '../../src/services/integration-credentials.ts';
import { rotateSecrets } from '../../src/services/rotate-secrets.ts';
import { createSecretBox } from '../../src/services/secret-box.ts';
import { openUrl, sealUrl } from '../../src/services/source-urls.ts';
import { ownerOfWebhookSecret } from '../../src/services/webhook-secrets.ts';
import { createIntegrationClient } from '../schema/integration-client.ts';
import { createDataDir, runSluice, startServer } from '../support/process.ts';
import { firstTeam, insertFinishedImport } from '../support/rows.ts';
import { TEST_KEY } from '../support/server.ts';
import { createSecretServers, type SecretServers } from './secret-servers.ts';

const [OLD, NEW] = [randomBytes(32), randomBytes(32)];
const base64 = (key: Buffer) => key.toString('base64');
const log = pino({ level: 'silent' });

let world: SecretServers;

beforeEach(async () => {
  world = await createSecretServers();
});

const stored = () =>
  world.rows.one<{ id: string; team_id: string; credentials: string }>(
    'select id, team_id, credentials from integrations',
  );

describe('the key', () => {
  test('of stored credentials has to be known at the start, or nothing starts', async () => {
    const id = await world.createWith(OLD);
    await expect(world.start({ SLUICE_SECRET_KEY: base64(NEW) })).rejects.toThrow(
      /^SLUICE_SECRET_KEY: secrets in the database were encrypted with another key \([0-9a-f]{8}\)\. .*SLUICE_PREVIOUS_SECRET_KEYS/,
    );
    const server = await world.start({
      SLUICE_SECRET_KEY: base64(NEW),
      SLUICE_PREVIOUS_SECRET_KEYS: `${base64(randomBytes(32))}, ${base64(OLD)}`,
    });
    world.s3.requests.length = 0;
    const result = await server.update({
      id,
      location: { s3: world.bucket({ credentials: undefined, prefix: 'a' }) },
    });
    expect(result).toMatchObject({ __typename: 'UpdateIntegrationSuccess' });
    expect(world.s3.requests.map(({ signed }) => signed)).toEqual([true]);
    const { credentials } = await stored();
    expect(createSecretBox({ current: NEW, previous: [] }).isCurrent(credentials)).toBe(true);
  });

  test('that is unknown ends the program with exit code 1 and one line', async () => {
    await world.createWith(OLD);
    const settings = { DATABASE_URL: world.databaseUrl, PORT: '0', SLUICE_DATA_DIR: world.dataDir };
    const { code, stdout, stderr } = await runSluice({ ...settings, SLUICE_SECRET_KEY: base64(NEW) }).ended;
    const lines = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{'));
    expect({ code, stdout, lines: lines.length }).toEqual({ code: 1, stdout: '', lines: 1 });
    expect(lines[0]).toContain('SLUICE_PREVIOUS_SECRET_KEYS');
  });

  test('is changed for everything by rotate-secrets, which may be run again', {
    timeout: 120_000,
  }, async () => {
    await world.createWith(OLD);
    const url = await insertSealedUrls(3);
    const settings = { DATABASE_URL: world.databaseUrl, SLUICE_SECRET_KEY: base64(NEW) };
    const both = { ...settings, SLUICE_PREVIOUS_SECRET_KEYS: base64(OLD) };

    const lost = await runSluice(settings, ['rotate-secrets']).ended;
    expect(lost).toMatchObject({ code: 1 });
    expect(lost.stderr).toMatch(
      /credentials of integrations: 1 cannot be read; .*SLUICE_PREVIOUS_SECRET_KEYS/,
    );

    const first = await runSluice(both, ['rotate-secrets']).ended;
    expect(first).toMatchObject({
      code: 0,
      stdout:
        'credentials of integrations: 1 encrypted anew\nURLs of tasks: 3 encrypted anew\nURLs of imports: 3 encrypted anew\n' +
        'URLs of webhooks: 1 encrypted anew\nsecrets that sign webhooks: 1 encrypted anew\n',
    });
    expect(first.stderr).not.toContain('cannot be read');
    const again = await runSluice(settings, ['rotate-secrets']).ended;
    expect(again).toMatchObject({ code: 0 });
    expect(again.stdout.match(/: 0 encrypted anew/g)).toHaveLength(5);

    const box = createSecretBox({ current: NEW, previous: [] });
    const row = await stored();
    expect(openCredentials(box, { id: row.id, teamId: row.team_id }, row.credentials).secretAccessKey).toBe(
      world.s3.secretAccessKey,
    );
    const urls = await world.rows.all<{ url: string; team: string }>(
      `select source_url as url, team_id as team from tasks
       union all select e.input ->> 'url', i.team_id from import_entries e join imports i on i.id = e.import_id
       union all select webhook_url, team_id from imports`,
    );
    expect(urls).toHaveLength(7);
    for (const { url: sealed, team } of urls) expect(openUrl(box, sealed, team)).toBe(url);
    const signing = await world.rows.one<{ id: string; team_id: string; secret: string }>(
      'select id, team_id, secret from webhook_secrets',
    );
    const owner = ownerOfWebhookSecret({ id: signing.id, teamId: signing.team_id });
    expect(box.open(signing.secret, owner)).toBe('whsec_c2VjcmV0');
    const server = await world.start({ SLUICE_SECRET_KEY: base64(NEW) });
    expect((await server.ask('{ integrations { totalCount } }')).data?.integrations).toEqual({
      totalCount: 1,
    });
  });

  test('is changed in batches that are kept, and never over what was written meanwhile', async () => {
    await world.createWith(OLD);
    await insertSealedUrls(1_203);
    const client = createDatabase({ url: world.databaseUrl, log, applicationName: 'test', max: 2 });
    onTestFinished(() => client.close());
    const box = createSecretBox({ current: NEW, previous: [OLD] });

    const stop = new AbortController();
    const opened = { count: 0 };
    const stopping = {
      ...box,
      open: (...args: Parameters<typeof box.open>) => {
        opened.count += 1;
        if (opened.count === 502) stop.abort(new Error('stopped by the test'));
        return box.open(...args);
      },
    };
    await expect(rotateSecrets(client.db, stopping, stop.signal)).rejects.toThrow('stopped by the test');
    const isOld = `source_url not like 'sealed:v1.${box.currentKeyId}.%'`;
    const left = await world.rows.all(`select 1 from tasks where ${isOld}`);
    expect(left.length).toBeGreaterThan(0);
    expect(left.length).toBeLessThan(1_203);

    // A server writes a row anew between the reading and the writing of its batch.
    const theirs = sealUrl(box, 'https://example.com/?theirs', (await stored()).team_id);
    const { id } = await world.rows.one<{ id: string }>(
      `select id from tasks where ${isOld} order by id desc limit 1`,
    );
    let written: Promise<unknown> | undefined;
    const racing = {
      ...box,
      open: (...args: Parameters<typeof box.open>) => {
        written ??= world.rows.all('update tasks set source_url = $1 where id = $2', [theirs, id]);
        return box.open(...args);
      },
    };
    const slow = {
      ...client.db,
      execute: async (statement: never) => {
        await written;
        return await client.db.execute(statement);
      },
    } as typeof client.db; // of the database it uses this alone
    const rest = await rotateSecrets(slow, racing, new AbortController().signal);
    expect(rest.map(({ rotated }) => rotated)).toEqual([0, left.length - 1, 1_203, 1, 1]);
    expect(await world.rows.all(`select 1 from tasks where ${isOld}`)).toEqual([]);
    expect(await world.rows.one('select source_url from tasks where id = $1', [id])).toEqual({
      source_url: theirs,
    });
  });
});

test('our own database is locked while a server runs, and its secrets are rotated when none does', {
  timeout: 120_000,
}, async () => {
  const own = await createDataDir();
  const settings = {
    PORT: '0',
    SLUICE_DATA_DIR: own,
    SLUICE_API_KEY: TEST_KEY,
    SLUICE_ALLOW_ADDRESSES: '127.0.0.1/32',
  };
  const server = await startServer(settings);
  const client = createIntegrationClient({ url: server.url, key: TEST_KEY });
  await client.create({ name: 'Clips', location: { s3: world.bucket() } });
  const locked = await runSluice(settings, ['rotate-secrets']).ended;
  expect(locked).toMatchObject({ code: 1, stdout: '' });
  expect(locked.stderr.trim().split('\n')).toEqual([expect.stringMatching(/^sluice: .*in use/)]);
  await server.end('SIGTERM');

  const previous = (await readFile(join(own, 'secret-key'), 'utf8')).trim();
  const changed = { ...settings, SLUICE_SECRET_KEY: base64(NEW) };
  const rotated = await runSluice({ ...changed, SLUICE_PREVIOUS_SECRET_KEYS: previous }, ['rotate-secrets'])
    .ended;
  expect(rotated).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('credentials of integrations: 1 encrypted anew'),
  });
});

/** Tasks, entries and the webhook of one finished import, all with the same URL, and what signs; sealed with the old key. @returns the URL */
async function insertSealedUrls(count: number): Promise<string> {
  const url = 'https://example.com/video.mp4?signature=secret';
  const box = createSecretBox({ current: OLD, previous: [] });
  const team = await firstTeam(world.rows, TEST_KEY);
  const importId = await insertFinishedImport(world.rows, team, { tasks: count, videos: 0 });
  const sealed = sealUrl(box, url, team.teamId);
  await world.rows.all('update tasks set source_url = $1', [sealed]);
  await world.rows.all(
    `insert into import_entries (import_id, ordinal, input, verdict)
     select $1, n, jsonb_build_object('url', $2::text), 'TASK' from generate_series(1, $3) n`,
    [importId, sealed, count],
  );
  await world.rows.all('update imports set webhook_url = $1', [sealed]);
  const id = randomUUID();
  const signing = box.seal('whsec_c2VjcmV0', ownerOfWebhookSecret({ id, teamId: team.teamId }));
  await world.rows.all('insert into webhook_secrets (id, team_id, secret) values ($1, $2, $3)', [
    id,
    team.teamId,
    signing,
  ]);
  return url;
}
