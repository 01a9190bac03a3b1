import { existsSync, statSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { fromPublicId, toPublicId } from '../../src/services/public-ids.ts';
import { insertTeam, openRows, type Rows, type TeamRows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { createTusClient, idOf, metadataHeader, type TusClient } from './tus-client.ts';

const MIB = 1024 * 1024;
const MAX = 8 * MIB;
const ORIGIN = 'https://studio.example';

let server: TestServer;
let rows: Rows;
let tus: TusClient;
let other: TeamRows;

beforeAll(async () => {
  server = await startTestServer({ SLUICE_UPLOAD_MAX_BYTES: String(MAX), SLUICE_ALLOW_ORIGINS: ORIGIN });
  rows = await openRows(server.databaseUrl);
  tus = createTusClient(server);
  other = await insertTeam(rows, 'Others');
});
afterAll(async () => {
  await rows?.close();
  await server?.stop();
});

const rowIdOf = (path: string) => fromPublicId('Upload', idOf(path));
const fileOf = (path: string) => join(server.dataDir, 'media', 'uploads', rowIdOf(path) ?? '', 'original');
const set = (path: string, change: string) =>
  rows.all(`update uploads set ${change} where id = $1`, [rowIdOf(path)]);

/** A PATCH that says it brings more than it does, and stays open. */
function openPatch(
  path: string,
  { offset, declared, bytes }: { offset: number; declared: number; bytes: Uint8Array },
) {
  const outgoing = httpRequest(new URL(path, server.url), {
    method: 'PATCH',
    agent: false,
    headers: {
      'tus-resumable': '1.0.0',
      authorization: `Bearer ${server.key}`,
      'content-type': 'application/offset+octet-stream',
      'content-length': declared,
      'upload-offset': offset,
    },
  });
  outgoing.on('error', () => {});
  onTestFinished(() => void outgoing.destroy());
  outgoing.write(bytes);
  return outgoing;
}

test('what the server can do is told to anybody', async () => {
  const { status, headers } = await createTusClient({ url: server.url, key: null }).send({
    method: 'OPTIONS',
  });
  expect(status).toBe(204);
  expect(headers).toMatchObject({ 'tus-version': '1.0.0', 'tus-max-size': String(MAX) });
  expect(String(headers['tus-extension']).split(',').sort()).toEqual([
    'creation',
    'creation-with-upload',
    'expiration',
    'termination',
  ]);
});

test('a file comes in pieces, and the URL does not follow the Host header', async () => {
  const bytes = Buffer.alloc(3 * MIB, 'piece');
  const made = await tus.send({
    method: 'POST',
    headers: { 'upload-length': bytes.length, host: 'evil.example' },
  });
  expect(made).toMatchObject({ status: 201, headers: { 'upload-expires': expect.any(String) } });
  const path = made.headers.location ?? '';
  expect(path).toMatch(/^\/uploads\/upl_[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/);
  expect(await tus.offset(path)).toBe(0);
  expect(await tus.patch(path, 0, bytes.subarray(0, MIB))).toMatchObject({
    status: 204,
    headers: { 'upload-offset': String(MIB) },
  });
  expect(await tus.offset(path)).toBe(MIB);
  expect(await tus.patch(path, MIB, bytes.subarray(MIB))).toMatchObject({ status: 204 });
  expect(
    await rows.one(
      'select completed_at is not null as complete, received::int, locked_by from uploads where id = $1',
      [rowIdOf(path)],
    ),
  ).toEqual({
    complete: true,
    received: bytes.length,
    locked_by: null,
  });
  // The last answer may have been lost.
  expect(await tus.offset(path)).toBe(bytes.length);
});

test('bytes may come with the request that begins the upload', async () => {
  const { status, headers } = await tus.send({
    method: 'POST',
    headers: { 'upload-length': 10, 'content-type': 'application/offset+octet-stream' },
    body: Buffer.from('01234'),
  });
  expect([status, headers['upload-offset']]).toEqual([201, '5']);
  expect(await tus.offset(headers.location ?? '')).toBe(5);
});

test('a wrong offset is a conflict, and changes nothing', async () => {
  const path = await tus.begin(100);
  expect((await tus.patch(path, 10, Buffer.alloc(5))).status).toBe(409);
  expect((await tus.patch(path, 0, Buffer.alloc(5))).status).toBe(204);
  expect((await tus.patch(path, 0, Buffer.alloc(5))).status).toBe(409);
  expect(await tus.offset(path)).toBe(5);
});

test('two requests do not write to one upload at once; the one that comes to resume ends the one before', async () => {
  const path = await tus.begin(2 * MIB);
  const first = openPatch(path, { offset: 0, declared: 2 * MIB, bytes: Buffer.alloc(MIB) });
  // What it has sent may come piece by piece.
  await waitFor(() => existsSync(fileOf(path)) && statSync(fileOf(path)).size === MIB && tusHolds(path), {
    what: 'the first request to be under way',
  });
  expect((await tus.patch(path, 0, Buffer.alloc(2 * MIB))).status).toBe(423);
  expect(await tus.offset(path)).toBe(MIB);
  expect((await tus.patch(path, MIB, Buffer.alloc(MIB))).status).toBe(204);
  first.destroy();
});

const tusHolds = async (path: string) =>
  (
    await rows.one<{ held: boolean }>(
      'select locked_by is not null and received > 0 as held from uploads where id = $1',
      [rowIdOf(path)],
    )
  ).held;

test('the lock holds over processes, and a process that died loses it', async () => {
  const path = await tus.begin(10);
  await set(path, "locked_by = gen_random_uuid(), locked_until = now() + interval '1 minute'");
  expect((await tus.patch(path, 0, Buffer.alloc(10))).status).toBe(423);
  await set(path, "locked_until = now() - interval '1 second'");
  expect((await tus.patch(path, 0, Buffer.alloc(10))).status).toBe(204);
});

test.each([
  ['more than the limit', { 'upload-length': MAX + 1 }, 413],
  ['far more', { 'upload-length': '99999999999999' }, 413],
  ['a length that is no number', { 'upload-length': '99999999999999999999' }, 400],
  ['a negative length', { 'upload-length': '-1' }, 400],
  ['no length', {}, 400],
  ['a length to come later', { 'upload-defer-length': '1' }, 501],
  ['metadata that is none', { 'upload-length': 1, 'upload-metadata': 'a !!' }, 400],
  [
    'metadata that cannot be stored',
    { 'upload-length': 1, 'upload-metadata': metadataHeader({ a: 'x\0' }) },
    400,
  ],
  [
    'a team that is not the key’s',
    { 'upload-length': 1, 'upload-metadata': metadataHeader({ teamId: 'team_x' }) },
    404,
  ],
])('refused at the beginning: %s', async (_what, headers, status) => {
  const before = await rows.count('uploads');
  expect((await tus.send({ method: 'POST', headers })).status).toBe(status);
  expect(await rows.count('uploads')).toBe(before);
});

test('more bytes than were declared are refused', async () => {
  const path = await tus.begin(10);
  expect((await tus.patch(path, 0, Buffer.alloc(11))).status).toBe(413);
  expect(await tus.offset(path)).toBe(0);
});

test('an upload belongs to the team that its metadata names; to others it is one that does not exist', async () => {
  await rows.all(
    'insert into api_key_teams (api_key_id, team_id) select id, $1 from api_keys where default_team_id <> $1',
    [other.teamId],
  );
  const begin = () => tus.begin(10, { teamId: toPublicId('Team', other.teamId) });
  // The server may know the key without that team for a while.
  const path = await waitFor(() => begin().catch(() => null), { what: 'the key to reach the team' });
  expect((await rows.one('select team_id from uploads where id = $1', [rowIdOf(path)])).team_id).toBe(
    other.teamId,
  );
  expect(await createTusClient({ url: server.url, key: other.key }).offset(path)).toBe(0);
  const mine = await tus.begin(10);
  const stranger = createTusClient({ url: server.url, key: other.key });
  const unknown = '/uploads/upl_00000000-0000-4000-8000-000000000000';
  for (const request of [
    { method: 'HEAD' },
    { method: 'DELETE' },
    {
      method: 'PATCH',
      headers: { 'upload-offset': 0, 'content-type': 'application/offset+octet-stream' },
      body: Buffer.alloc(10),
    },
  ]) {
    const answers = await Promise.all([mine, unknown].map((at) => stranger.send({ ...request, at })));
    expect(answers.map(({ status }) => status)).toEqual([404, 404]);
    expect(answers[0]?.body).toBe(answers[1]?.body);
  }
  expect(await tus.offset(mine)).toBe(0);
});

test.each([
  '/uploads/../etc',
  '/uploads/upl_..%2F..%2Fetc',
  '/uploads/%00',
  '/uploads/x',
  '/uploads/upl_%ff',
])('no upload: %s', async (at) => {
  const { status } = await tus.send({ method: 'HEAD', at });
  expect([400, 404]).toContain(status);
});

test('without a key, with a wrong one and with one that may only read nothing is begun', async () => {
  const reader = await insertTeam(rows, 'Readers');
  await rows.all("update api_keys set scopes = '{READ}' where default_team_id = $1", [reader.teamId]);
  const send = (key: string | null) =>
    createTusClient({ url: server.url, key }).send({ method: 'POST', headers: { 'upload-length': 1 } });
  expect([
    (await send(null)).status,
    (await send(`slc_${'x'.repeat(43)}`)).status,
    (await send(reader.key)).status,
  ]).toEqual([401, 401, 403]);
});

test('what was uploaded is not given out', async () => {
  const path = await tus.bring(Buffer.from('secret'));
  const { status, body } = await tus.send({ method: 'GET', at: path });
  expect([status, body.includes('secret')]).toEqual([405, false]);
});

test('an upload that was not finished in time is gone, and so are its bytes', async () => {
  const path = await tus.begin(10);
  await tus.patch(path, 0, Buffer.alloc(5));
  expect(existsSync(fileOf(path))).toBe(true);
  await set(path, "expires_at = now() - interval '1 second'");
  expect((await tus.send({ method: 'HEAD', at: path })).status).toBe(410);
  expect((await tus.patch(path, 5, Buffer.alloc(5))).status).toBe(410);
  await waitFor(() => !existsSync(fileOf(path)), { what: 'its bytes to go' });
  expect((await tus.send({ method: 'HEAD', at: path })).status).toBe(410);
});

test('a client may give its upload up', async () => {
  const path = await tus.bring(Buffer.alloc(10));
  expect((await tus.send({ method: 'DELETE', at: path })).status).toBe(204);
  expect((await tus.send({ method: 'HEAD', at: path })).status).toBe(410);
  await waitFor(() => !existsSync(fileOf(path)), { what: 'its bytes to go' });
});

test('a team has a hundred unfinished uploads at most', async () => {
  const crowded = await insertTeam(rows, 'Crowded');
  await rows.all(
    `insert into uploads (id, team_id, length, expires_at)
     select gen_random_uuid(), $1, 1, now() + interval '1 hour' from generate_series(1, 100)`,
    [crowded.teamId],
  );
  const send = (key: string) =>
    createTusClient({ url: server.url, key }).send({ method: 'POST', headers: { 'upload-length': 1 } });
  expect((await send(crowded.key)).status).toBe(429);
  expect((await send(server.key)).status).toBe(201);
  await rows.all('update uploads set completed_at = now() where team_id = $1', [crowded.teamId]);
  expect((await send(crowded.key)).status).toBe(201);
});

test('room is kept for what was declared and has not come yet', async () => {
  const hog = await insertTeam(rows, 'Hog');
  await rows.all(
    "insert into uploads (id, team_id, length, expires_at) values (gen_random_uuid(), $1, 1::bigint << 50, now() + interval '1 hour')",
    [hog.teamId],
  );
  const refused = await tus.send({ method: 'POST', headers: { 'upload-length': 1 } });
  await rows.all('delete from uploads where team_id = $1', [hog.teamId]);
  expect(refused.status).toBe(507);
  expect((await tus.send({ method: 'POST', headers: { 'upload-length': 1 } })).status).toBe(201);
});

test('pages of allowed origins may send, others are not told that they may', async () => {
  const ask = (origin: string) =>
    tus.send({
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'PATCH',
        'access-control-request-headers': 'authorization',
      },
    });
  const allowed = await ask(ORIGIN);
  expect(allowed.headers['access-control-allow-origin']).toBe(ORIGIN);
  expect(allowed.headers['access-control-allow-headers']).toMatch(/authorization/i);
  expect(allowed.headers['access-control-allow-methods']).toContain('PATCH');
  expect((await ask('https://evil.example')).headers['access-control-allow-origin']).toBeUndefined();
  const made = await tus.send({ method: 'POST', headers: { origin: ORIGIN, 'upload-length': 1 } });
  expect(made.headers['access-control-expose-headers']).toMatch(/Location/);
  const keyless = await createTusClient({ url: server.url, key: null }).send({
    method: 'POST',
    headers: { origin: ORIGIN, 'upload-length': 1 },
  });
  expect([keyless.status, keyless.headers['access-control-allow-origin']]).toEqual([401, ORIGIN]);
});
