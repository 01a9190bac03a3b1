import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { INTEGRATION } from './integration-client.ts';
import { type IntegrationTest, startIntegrationTest } from './integration-setup.ts';

let world: IntegrationTest;

beforeAll(async () => {
  world = await startIntegrationTest();
});

afterAll(() => world?.stop());

beforeEach(() => world.clear());

/** Notes every statement that this process sends meanwhile. */
async function hearing<T>(statements: string[], work: () => Promise<T>): Promise<T> {
  const { query } = pg.Client.prototype;
  pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
    const [first] = args;
    statements.push(typeof first === 'string' ? first : String((first as { text?: string }).text)); // as pg takes it
    return Reflect.apply(query, this, args);
  } as typeof query;
  try {
    return await work();
  } finally {
    pg.Client.prototype.query = query;
  }
}

test('a deleted integration leaves its imports behind', async () => {
  const id = await world.created(world.clips());
  const { id: importId } = await world.runningImport(id);
  await world.rows.all(`update imports set state = 'SUCCEEDED', counts = '{}', finished_at = now()`);
  expect(await world.client.remove(id)).toEqual({ __typename: 'DeleteIntegrationSuccess', deletedId: id });
  expect(await world.rows.one('select integration_id from imports where id = $1', [importId])).toEqual({
    integration_id: null,
  });
  expect(await world.client.remove(id)).toMatchObject({ __typename: 'NotFoundError', path: ['id'] });
});

describe('another team', () => {
  test('sees and changes nothing, as if there were nothing', async () => {
    const id = await world.created(world.clips());
    const before = await world.rows.one('select * from integrations');
    const nothing = `int_${randomUUID()}`;
    const requests: [string, (id: string) => object][] = [
      [`query ($id: ID!) { integration(id: $id) { ...I } } ${INTEGRATION}`, (of) => ({ id: of })],
      [`query ($id: ID!) { node(id: $id) { id } }`, (of) => ({ id: of })],
      [
        `mutation ($i: UpdateIntegrationInput!) { updateIntegration(input: $i) { __typename ... on NotFoundError { message path } } }`,
        (of) => ({ i: { id: of, name: 'Mine', location: { s3: world.bucket() } } }),
      ],
      [
        `mutation ($id: ID!) { deleteIntegration(id: $id) { __typename ... on NotFoundError { message path } } }`,
        (of) => ({ id: of }),
      ],
    ];
    world.s3.requests.length = 0;
    for (const [query, variables] of requests) {
      const answer = await world.client.text(query, variables(id), world.other.key);
      expect(answer).toBe(await world.client.text(query, variables(nothing), world.other.key));
      expect(answer).toMatch(/NotFoundError|null/);
    }
    expect(world.s3.requests).toEqual([]);
    expect(await world.rows.one('select * from integrations')).toEqual(before);
  });

  test('cannot be given an integration', async () => {
    for (const teamId of [`team_${world.other.teamId}`, `team_${randomUUID()}`, 'nonsense']) {
      expect(await world.client.create({ ...world.clips(), teamId })).toEqual({
        __typename: 'NotFoundError',
        message: 'There is no such team.',
        path: ['input', 'teamId'],
      });
    }
    expect(await world.rows.count('integrations')).toBe(0);
  });

  test('has a list of its own', async () => {
    const own = await world.created(world.clips());
    const { integration } = await world.client.create(world.clips(), world.other.key);
    const list = async (variables: object, key?: string) =>
      (
        await world.client.ask(
          'query ($teamId: ID) { integrations(teamId: $teamId) { totalCount nodes { id } } }',
          variables,
          key,
        )
      ).data?.integrations;
    expect(await list({})).toEqual({ totalCount: 1, nodes: [{ id: own }] });
    expect(await list({ teamId: `team_${world.team.teamId}` })).toEqual({
      totalCount: 1,
      nodes: [{ id: own }],
    });
    expect(await list({ teamId: `team_${world.other.teamId}` })).toEqual({ totalCount: 0, nodes: [] });
    expect(await list({}, world.other.key)).toEqual({ totalCount: 1, nodes: [{ id: integration?.id }] });
  });
});

test('integrations are listed newest first, in pages, each with its running import', async () => {
  const ids: string[] = [];
  for (const name of ['a', 'b', 'c']) ids.push(await world.created({ ...world.clips(), name }));
  const { publicId } = await world.runningImport(ids[1] ?? '');
  const page = `query ($after: String) { integrations(first: 2, after: $after) {
    totalCount pageInfo { hasNextPage endCursor } edges { node { id name runningImport { id } } } } }`;
  const statements: string[] = [];
  const first = await hearing(statements, async () => (await world.client.ask(page)).data?.integrations);
  const [read, count, ...more] = statements.filter((statement) => statement.includes('integrations'));
  expect(more).toEqual([]);
  expect(count).toContain('count(');
  expect(read).toContain('"imports"');
  expect(first).toMatchObject({
    totalCount: 3,
    pageInfo: { hasNextPage: true },
    edges: [
      { node: { id: ids[2], name: 'c', runningImport: null } },
      { node: { id: ids[1], name: 'b', runningImport: { id: publicId } } },
    ],
  });
  const { endCursor: after } = (first?.pageInfo ?? {}) as { endCursor?: string }; // as it was asked for
  expect((await world.client.ask(page, { after })).data?.integrations).toMatchObject({
    pageInfo: { hasNextPage: false },
    edges: [{ node: { id: ids[0], name: 'a' } }],
  });
  const node = await world.client.ask(
    `query ($id: ID!) { node(id: $id) { __typename id ...I } } ${INTEGRATION}`,
    {
      id: ids[0],
    },
  );
  expect(node.data?.node).toMatchObject({ __typename: 'Integration', id: ids[0], name: 'a' });
});
