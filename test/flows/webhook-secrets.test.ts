import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { hashApiKey } from '../../src/services/viewer.ts';
import { createTestClient } from '../support/client.ts';
import { graphql } from '../support/graphql.ts';
import { type Receiver, startReceiver, verified } from '../support/receiver.ts';
import { insertTeam, openRows, type Rows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { createTeller, type Teller } from './webhook-imports.ts';

const ROTATE = graphql(`
  mutation SecretRotate($teamId: ID) {
    rotateWebhookSecret(teamId: $teamId) {
      __typename
      ... on NotFoundError { path }
      ... on RotateWebhookSecretSuccess { team { id webhookSecret } }
    }
  }
`);
const TEAMS = graphql(
  `query SecretTeams { viewer { defaultTeam { id webhookSecret } teams { webhookSecret } } }`,
);
const WHSEC = /^whsec_[A-Za-z0-9+/]{43}=$/;

let server: TestServer;
let rows: Rows;
let receiver: Receiver;
let teller: Teller;

beforeAll(async () => {
  server = await startTestServer({ SLUICE_LOG_LEVEL: 'fatal' });
  rows = await openRows(server.databaseUrl);
  receiver = await startReceiver(({ path }) => (path === '/missing.mp4' ? 404 : 200));
  teller = createTeller(server, { databaseUrl: server.databaseUrl, missing: `${receiver.url}/missing.mp4` });
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
  await receiver?.close();
});

const rotate = async () => (await server.query(ROTATE, {})).rotateWebhookSecret;

/** The signatures of a message about an import that has ended just now, and the message. */
async function toldOnce(path: string) {
  await teller.over({ url: receiver.url + path });
  const [message] = receiver.at(path);
  if (!message) throw new Error('nothing came');
  return { message, signatures: (message.headers['webhook-signature'] ?? '').split(' ') };
}

test('after a rotation both secrets sign, each time the old one for a day more', async () => {
  const first = await teller.secret();
  expect(first).toMatch(WHSEC);
  expect(await teller.secret()).toBe(first);
  expect((await toldOnce('/before')).signatures).toHaveLength(1);
  const rotated = await rotate();
  const second = await teller.secret();
  expect(rotated).toMatchObject({ team: { webhookSecret: second } });
  expect(second).not.toBe(first);
  const both = await toldOnce('/both');
  expect(both.signatures).toHaveLength(2);
  for (const secret of [first, second]) verified(both.message, secret);

  await rotate();
  expect((await toldOnce('/three')).signatures).toHaveLength(3);
  const [left] = await rows.all<{ hours: number }>(
    'select extract(epoch from max(expires_at) - now())::float8 / 3600 as hours from webhook_secrets',
  );
  expect(left?.hours).toBeCloseTo(24, 1);
  await rows.all(
    `update webhook_secrets set expires_at = now() - interval '1 second' where expires_at is not null`,
  );
  const alone = await toldOnce('/alone');
  expect(alone.signatures).toHaveLength(1);
  verified(alone.message, await teller.secret());
  expect(() => verified(alone.message, second)).toThrow();
  await rotate();
  expect(await rows.count('webhook_secrets')).toBe(2);
});

test('calls that are the first to need a secret find the same one', async () => {
  const team = await insertTeam(rows, 'Team');
  const client = createTestClient({ url: server.url, key: team.key });
  const answers = await Promise.all(Array.from({ length: 8 }, () => client.query(TEAMS)));
  expect(new Set(answers.map(({ viewer }) => viewer.defaultTeam.webhookSecret)).size).toBe(1);
});

test('each team has a secret of its own, which other teams can neither see nor change', async () => {
  const [mine, theirs] = [await insertTeam(rows, 'Mine'), await insertTeam(rows, 'Theirs')];
  const [me, them] = [mine, theirs].map(({ key }) => createTestClient({ url: server.url, key }));
  if (!me || !them) throw new Error('no clients');
  const theirSecret = (await them.query(TEAMS)).viewer.defaultTeam.webhookSecret;
  const answer = await me.query(TEAMS);
  expect(JSON.stringify(answer)).not.toContain(theirSecret);
  const refused = { rotateWebhookSecret: { __typename: 'NotFoundError', path: ['teamId'] } };
  for (const teamId of [`team_${theirs.teamId}`, `team_${randomUUID()}`, 'nonsense'])
    expect(await me.query(ROTATE, { teamId })).toEqual(refused);
  expect((await them.query(TEAMS)).viewer.defaultTeam.webhookSecret).toBe(theirSecret);
});

test('the import of another team cannot be told of, like one that does not exist', async () => {
  const { id } = await teller.over({ url: `${receiver.url}/mine` });
  const other = createTestClient({ url: server.url, key: (await insertTeam(rows, 'Other')).key });
  const missing = `${receiver.url}/missing.mp4`;
  const stranger = createTeller(other, { databaseUrl: server.databaseUrl, missing });
  const unknown = await stranger.redeliver(`imp_${randomUUID()}`);
  expect(unknown.__typename).toBe('NotFoundError');
  expect(await stranger.redeliver(id)).toEqual(unknown);
  expect(receiver.at('/mine')).toHaveLength(1);
});

test('a key without the scope ADMIN does not see the secret', async () => {
  const team = await insertTeam(rows, 'Read only');
  const key = `slc_${randomUUID().replaceAll('-', '')}`;
  const id = randomUUID();
  await rows.all(
    `insert into api_keys (id, name, hash, scopes, default_team_id) values ($1, 'read', $2, '{READ}', $3)`,
    [id, hashApiKey(key), team.teamId],
  );
  await rows.all('insert into api_key_teams (api_key_id, team_id) values ($1, $2)', [id, team.teamId]);
  const { viewer } = await createTestClient({ url: server.url, key }).query(TEAMS);
  expect(viewer).toMatchObject({ defaultTeam: { webhookSecret: null }, teams: [{ webhookSecret: null }] });
});

test('neither a secret nor what a URL carries in its query can be read from the database', async () => {
  const canary = `canary-${randomUUID()}`;
  const url = `${receiver.url}/with-query?token=${canary}`;
  const { webhook } = await teller.over({ url });
  expect(webhook).toMatchObject({ url, state: 'DELIVERED' });
  expect(receiver.at(`/with-query?token=${canary}`)).toHaveLength(1);
  const secret = await teller.secret();
  const tables = await rows.all<{ name: string }>(
    `select tablename as name from pg_tables where schemaname = 'public'`,
  );
  for (const { name } of tables) {
    const [found] = await rows.all<{ n: number }>(
      `select count(*)::int as n from ${name} t where t::text like '%' || $1 || '%' or t::text like '%' || $2 || '%'`,
      [canary, secret.slice('whsec_'.length)],
    );
    expect(found, name).toEqual({ n: 0 });
  }
});

test('a webhook whose secret cannot be read is tried again, and says whom to ask', async () => {
  const { team_id: teamId } = await rows.one<{ team_id: string }>(
    'select team_id from indexes where is_default order by created_at limit 1',
  );
  const kept = await rows.all('delete from webhook_secrets where team_id = $1 returning *', [teamId]);
  await rows.all(
    `insert into webhook_secrets (id, team_id, secret) values ($1, $2, 'v1.00000000.AAAAAAAAAAAAAAAA.AA.AAAAAAAAAAAAAAAAAAAAAA')`,
    [randomUUID(), teamId],
  );
  onTestFinished(async () => {
    await rows.all('delete from webhook_secrets where team_id = $1', [teamId]);
    expect(kept.length).toBeGreaterThan(0);
  });
  const { id } = await teller.start({ url: `${receiver.url}/unsigned` });
  const { webhook } = await teller.until(id, (told) => told.webhook?.state === 'RETRYING');
  // The next try may have come, too.
  const failed = { statusCode: null, error: expect.stringContaining('operator') };
  expect(webhook?.attempts).toMatchObject((webhook?.attempts ?? []).map(() => failed));
  expect(webhook?.attempts).not.toHaveLength(0);
  expect(receiver.at('/unsigned')).toEqual([]);
});
