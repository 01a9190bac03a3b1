import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { post } from '../support/raw.ts';
import { firstTeam, insertTeam, openRows, type Rows, type TeamRows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { KINDS, makeThings, noThings, type Things } from './team-things.ts';

let server: TestServer;
let rows: Rows;
let own: TeamRows & { readonly things: Things };
let other: TeamRows & { readonly things: Things };

beforeAll(async () => {
  server = await startTestServer();
  rows = await openRows(server.databaseUrl);
  const first = await firstTeam(rows, server.key);
  own = { ...first, things: await makeThings(rows, first, '/nowhere') };
  const second = await insertTeam(rows, 'Other team');
  other = { ...second, things: await makeThings(rows, second, '/nowhere') };
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
});

interface Operation {
  readonly query: string;
  readonly variables?: Readonly<Record<string, unknown>>;
}

const send = async (operation: Operation, key = server.key) => {
  const { status, text } = await post({ url: server.url, key, body: JSON.stringify(operation) });
  return `${status} ${text}`;
};

const TYPES = {
  team: 'Team',
  index: 'Index',
  integration: 'Integration',
  import: 'Import',
  task: 'Task',
  video: 'Video',
  file: 'FailedFile',
} as const;

// An upload is no type of the API: its id is only taken by inputs.
const NODE_KINDS = KINDS.filter((kind) => kind !== 'upload');

test.each(NODE_KINDS)(
  'node() finds a %s of the own team as what it is, and none of another',
  async (kind) => {
    const find = (id: string, key?: string) =>
      send({ query: `{ node(id: "${id}") { __typename id } }` }, key);
    const id = own.things[kind];
    expect(JSON.parse((await find(id)).slice(4))).toEqual({
      data: { node: { __typename: TYPES[kind], id } },
    });
    expect(await find(id, other.key)).toBe('200 {"data":{"node":null}}');
  },
);

const startImport = `mutation ($input: StartImportInput!) {
  startImport(input: $input) { __typename ... on Error { message } ... on NotFoundError { path } }
}`;
const video = { externalId: 'a', url: 'http://127.0.0.1:9/a.mp4', fileName: 'a.mp4' };
const from = { videos: { systemName: 'dam', videos: [video] } };

test("startImport into the own team with the other team's index", async () => {
  const before = await rows.count('imports');
  const input = (things: Things) => ({ from, teamId: own.things.team, indexId: things.index });
  const [ofOthers, ofNobody] = await Promise.all(
    [other.things, noThings()].map((things) =>
      send({ query: startImport, variables: { input: input(things) } }),
    ),
  );
  expect(ofOthers).toBe(ofNobody);
  expect(ofOthers).toContain('"path":["input","indexId"]');
  expect(await rows.count('imports')).toBe(before);
});

test("a cursor into another team's list is a position like any other: it shows nothing of theirs", async () => {
  const list = '{ tasks(first: 2) { edges { cursor node { id } } } }';
  const theirs = JSON.parse((await send({ query: list }, other.key)).slice(4)).data.tasks.edges;
  const answer = await send({
    query: `{ tasks(first: 50, after: "${theirs[0].cursor}") { nodes { id team { id } } } }`,
  });
  const made = Buffer.from(
    Buffer.from(theirs[0].cursor, 'base64')
      .toString()
      .replace(theirs[0].node.id.slice('task_'.length), randomUUID()),
  ).toString('base64');
  const { nodes } = JSON.parse(answer.slice(4)).data.tasks;
  // The other team's rows are newer than all of the own ones.
  expect(nodes).toHaveLength(3);
  expect(new Set(nodes.map((node: { team: { id: string } }) => node.team.id))).toEqual(
    new Set([own.things.team]),
  );
  expect(await send({ query: `{ tasks(first: 50, after: "${made}") { nodes { id team { id } } } }` })).toBe(
    answer,
  );
});
