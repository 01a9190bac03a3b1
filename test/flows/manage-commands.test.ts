import { expect, test } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import { createInstallation } from '../support/installation.ts';
import { runSluice } from '../support/process.ts';
import { post } from '../support/raw.ts';
import { openRows } from '../support/rows.ts';
import { waitFor } from '../support/wait.ts';

const PUBLIC_ID = /^team_[0-9a-f-]{36}\n$/;
const KEY = /^slc_[A-Za-z0-9_-]{43}\n$/;

/** The cells of a table, by the names of its columns. */
function cellsOf(table: string): Readonly<Record<string, string>>[] {
  const [heading = [], ...rows] = table
    .trimEnd()
    .split('\n')
    .map((line) => line.split(/ {2,}/));
  return rows.map((row) => Object.fromEntries(row.map((cell, at) => [heading[at] ?? '', cell])));
}

test('teams and keys are made, changed and listed, and only what was asked for is on stdout', {
  timeout: 240_000,
}, async () => {
  const database = await createTestDatabase();
  const rows = await openRows(database.url);
  const settings = { DATABASE_URL: database.url, SLUICE_SECRET_KEY: Buffer.alloc(32, 7).toString('base64') };
  const sluice = (...args: string[]) => runSluice(settings, args).ended;
  try {
    expect(await sluice('keys', 'create', 'early')).toMatchObject({ code: 1, stdout: '' });
    const made = await sluice('teams', 'create', 'Film team', '--max-videos', '10', '--max-bytes', '5000');
    expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(PUBLIC_ID) });
    await sluice('teams', 'create', 'Other team');
    await sluice(
      'teams',
      'set',
      'Film team',
      '--max-bytes',
      'none',
      '--max-seconds',
      '90',
      '--name',
      'Films',
    );
    expect(await rows.all('select name, max_videos, max_bytes, max_seconds from teams order by id')).toEqual([
      { name: 'Films', max_videos: 10, max_bytes: null, max_seconds: 90 },
      { name: 'Other team', max_videos: null, max_bytes: null, max_seconds: null },
    ]);
    expect(await rows.all('select name, is_default from indexes')).toHaveLength(2);

    const [index] = await rows.all<{ id: string }>('select id from indexes order by id');
    const indexId = `idx_${index?.id}`;
    await sluice('indexes', 'set', indexId, '--ladder', '360,720', '--pictures', 'webp');
    expect(cellsOf((await sluice('indexes', 'list')).stdout)).toMatchObject([
      { ID: indexId, TEAM: 'Films', LADDER: '720,360', PICTURES: 'webp' },
      { TEAM: 'Other team', LADDER: 'default', PICTURES: 'default' },
    ]);
    await sluice('indexes', 'set', indexId, '--ladder', 'none', '--pictures', 'default');
    expect(await rows.all('select ladder, picture_format from indexes where id = $1', [index?.id])).toEqual([
      { ladder: [], picture_format: null },
    ]);

    const key = await sluice(
      'keys',
      'create',
      'Player',
      '--team',
      'Other team',
      '--team',
      made.stdout.trim(),
      '--expires',
      '2',
    );
    expect(key).toMatchObject({ code: 0, stdout: expect.stringMatching(KEY) });
    const listed = await sluice('keys', 'list');
    expect(listed.stdout).not.toContain(key.stdout.trim());
    expect(cellsOf(listed.stdout)).toMatchObject([
      { NAME: 'Player', SCOPE: 'READ', TEAMS: 'Other team, Films', STATE: 'ACTIVE' },
    ]);
    for (const wrong of [
      ['keys', 'create', 'x', '--scope', 'ROOT'],
      ['keys', 'create', 'x', '--team', 'Nobody'],
      ['teams', 'set', 'Films', '--max-videos', '-1'],
      ['keys', 'revoke', 'Nobody'],
      ['indexes', 'set', indexId, '--ladder', '360,fast'],
      ['indexes', 'set', 'Default index', '--ladder', '360'],
    ])
      expect(await sluice(...wrong), wrong.join(' ')).toMatchObject({
        code: 1,
        stdout: '',
        stderr: expect.stringMatching(/^sluice: /m),
      });
    expect(await rows.count('api_keys')).toBe(1);
  } finally {
    await rows.close();
    await database.drop();
  }
});

test('a key is made and revoked beside a server on its own database', { timeout: 240_000 }, async () => {
  const installation = await createInstallation();
  const { server } = await installation.start();
  const sluice = (...args: string[]) => runSluice({ SLUICE_DATA_DIR: installation.dataDir }, args).ended;
  const made = await sluice('keys', 'create', 'Importer', '--scope', 'write');
  expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(KEY) });
  const key = made.stdout.trim();
  const status = async () =>
    (await post({ url: server.url, key, body: '{"query":"{ viewer { scopes } }"}' })).status;
  expect(await status()).toBe(200);
  expect(await sluice('keys', 'revoke', 'Importer')).toMatchObject({ code: 0 });
  expect(await waitFor(async () => (await status()) === 401)).toBe(true);
  // The server itself has gone on with its database.
  await waitFor(async () => (await fetch(`${server.url}/health/ready`)).ok, { what: 'the server' });
});
