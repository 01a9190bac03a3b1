import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { hashApiKey, SCOPES, type Scope } from '../../src/services/viewer.ts';
import { post } from '../support/raw.ts';
import { firstTeam, openRows, type Rows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { examplesWith, ID_KINDS, MUTATION_SCOPES } from './id-kinds.ts';
import { callOf, rootFields } from './operations.ts';
import { makeThings, noThings, type Things } from './team-things.ts';

const folder = await mkdtemp(join(tmpdir(), 'sluice-scopes-'));
let server: TestServer;
let rows: Rows;
let own: Things;
const keys = {} as Record<Scope, string>; // filled before the tests

beforeAll(async () => {
  await writeFile(join(folder, 'x'), 'no video');
  server = await startTestServer({ SLUICE_ALLOW_FOLDERS: folder, SLUICE_PLAN_SECONDS: '1' });
  rows = await openRows(server.databaseUrl);
  const team = await firstTeam(rows, server.key);
  own = await makeThings(rows, team, folder);
  for (const scope of SCOPES) {
    const [id, key] = [randomUUID(), `slc_${randomUUID()}`];
    await rows.all(
      'insert into api_keys (id, name, hash, scopes, default_team_id) values ($1, $2, $3, $4, $5)',
      [id, scope, hashApiKey(key), [scope], team.teamId],
    );
    await rows.all('insert into api_key_teams values ($1, $2)', [id, team.teamId]);
    keys[scope] = key;
  }
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** The calls of all root fields, with the ids of these things where ids are required. */
const examplesOf = (things: Things) => ({
  ...examplesWith({ folder }),
  ImportSourceInput: { objects: { integrationId: things.integration, objects: [{ key: 'x' }] } },
  TaskSourceInput: { object: { integrationId: things.integration, key: 'x' } },
  ...Object.fromEntries(Object.entries(ID_KINDS).map(([coordinate, kind]) => [coordinate, things[kind]])),
});
const mutationOf = (name: string, things: Things) => {
  const field = rootFields('mutation').find((known) => known.name === name);
  if (!field) throw new Error(`there is no mutation ${name}`);
  const { query, variables } = callOf('mutation', field, { examples: examplesOf(things) });
  return {
    query: query.replace('{ __typename', '{ __typename ... on ForbiddenError { requiredScope }'),
    variables,
  };
};

async function overHttp(key: string, operation: object): Promise<unknown> {
  const { text } = await post({ url: server.url, key, body: JSON.stringify(operation) });
  return JSON.parse(text);
}

async function overSocket(key: string, operation: ReturnType<typeof mutationOf>): Promise<unknown> {
  const client = createClient({
    url: `${server.url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${key}` },
    retryAttempts: 0,
  });
  try {
    return (await client.iterate(operation).next()).value;
  } finally {
    await client.dispose();
  }
}

const mutations = Object.entries(MUTATION_SCOPES);

test('of every mutation it is known which scope it takes, and every result may be a ForbiddenError', () => {
  const fields = rootFields('mutation');
  expect(mutations.map(([name]) => name).sort()).toEqual(fields.map(({ name }) => name).sort());
  const unions = fields.map(({ type }) => String(type));
  expect(unions.every((name) => name.endsWith('Result!'))).toBe(true);
});

describe.each(SCOPES)('a key with the scope %s', (scope) => {
  test.each(mutations)('%s', async (name, required) => {
    const isAllowed = SCOPES.indexOf(scope) >= SCOPES.indexOf(required);
    // What it may do is done to nothing; what it may not do, to what is there.
    const operation = mutationOf(name, isAllowed ? noThings() : own);
    const before = await contents();
    for (const send of [overHttp, overSocket]) {
      const answer = await send(keys[scope], operation);
      const result = (answer as { data: Record<string, unknown> }).data[name]; // the shape of every answer
      if (isAllowed) expect(result).not.toMatchObject({ __typename: 'ForbiddenError' });
      else
        expect(result).toEqual({
          __typename: 'ForbiddenError',
          requiredScope: required,
          message: `This API key may not do that. Use a key with the scope ${required}.`,
        });
    }
    if (!isAllowed) expect(await contents()).toBe(before);
  });

  test('importPlan', async () => {
    const query = `query ($input: StartImportInput!) { importPlan(input: $input) { __typename } }`;
    const input = { from: { objects: { integrationId: own.integration, objects: [{ key: 'x' }] } } };
    const answer = await overHttp(keys[scope], { query, variables: { input } });
    const __typename = scope === 'READ' ? 'ForbiddenError' : 'ImportPlanSuccess';
    expect(answer).toEqual({ data: { importPlan: { __typename } } });
  });

  test('queries and subscriptions', async () => {
    const query = `{ viewer { scopes } task(id: "${own.task}") { id } }`;
    const answer = await overHttp(keys[scope], { query });
    expect(answer).toEqual({ data: { viewer: { scopes: [scope] }, task: { id: own.task } } });
    const subscription = `subscription { taskProgress(id: "${own.task}") { task { id } } }`;
    const event = await overSocket(keys[scope], { query: subscription, variables: {} });
    expect(event).toEqual({ data: { taskProgress: { task: { id: own.task } } } });
  });
});

/** How many rows there are, and what wrote the latest of each table, but for those that the server changes by itself. */
async function contents(): Promise<string> {
  const tables = await rows.all<{ name: string }>(
    `select relname as name from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace and relname not in ('jobs', 'team_usage', 'team_usage_changes') order by 1`,
  );
  const sums = tables.map(
    ({ name }) => `(select count(*) || ':' || coalesce(max(xmin::text::bigint), 0) from ${name})`,
  );
  return (await rows.one<{ sums: string }>(`select concat_ws(' ', ${sums.join(', ')}) as sums`)).sums;
}
