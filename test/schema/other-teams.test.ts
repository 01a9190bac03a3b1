import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { post } from '../support/raw.ts';
import {
  firstTeam,
  insertFinishedImport,
  insertTeam,
  openRows,
  type Rows,
  type TeamRows,
} from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

/** The row ids of one team's things, one of each. */
interface Things {
  readonly team: string;
  readonly index: string;
  readonly import: string;
  readonly task: string;
  readonly video: string;
  readonly file: string;
}

let server: TestServer;
let rows: Rows;
let own: TeamRows & { readonly things: Things };
let other: TeamRows & { readonly things: Things };

beforeAll(async () => {
  server = await startTestServer();
  rows = await openRows(server.databaseUrl);
  const first = await firstTeam(rows, server.key);
  own = { ...first, things: await makeThings(first) };
  const second = await insertTeam(rows, 'Other team');
  other = { ...second, things: await makeThings(second) };
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
});

async function makeThings(team: TeamRows): Promise<Things> {
  const importId = await insertFinishedImport(rows, team, { tasks: 3 });
  const file = randomUUID();
  await rows.all(
    `insert into failed_files (id, team_id, import_id, ordinal, file_name, name, error_code, error_message, error_retryable)
     values ($1, $2, $3, 9, 'bad.mp4', 'bad', 'SOURCE_NOT_FOUND', 'not there', false)`,
    [file, team.teamId, importId],
  );
  const [task] = await rows.all<{ id: string; video_id: string }>(
    'select id, video_id from tasks where import_id = $1',
    [importId],
  );
  return {
    team: team.teamId,
    index: team.indexId,
    import: importId,
    task: task?.id ?? '',
    video: task?.video_id ?? '',
    file,
  };
}

/** What nobody has. */
const nothing = (): Things => ({
  team: randomUUID(),
  index: randomUUID(),
  import: randomUUID(),
  task: randomUUID(),
  video: randomUUID(),
  file: randomUUID(),
});

interface Operation {
  readonly query: string;
  readonly variables?: Readonly<Record<string, unknown>>;
}

const send = async (operation: Operation, key = server.key) => {
  const { status, text } = await post({ url: server.url, key, body: JSON.stringify(operation) });
  return `${status} ${text}`;
};

const PREFIXES = {
  team: 'team',
  index: 'idx',
  import: 'imp',
  task: 'task',
  video: 'vid',
  file: 'file',
} as const;
const TYPES = {
  team: 'Team',
  index: 'Index',
  import: 'Import',
  task: 'Task',
  video: 'Video',
  file: 'FailedFile',
} as const;
const KINDS = ['team', 'index', 'import', 'task', 'video', 'file'] as const;
const publicId = (kind: keyof Things, things: Things) => `${PREFIXES[kind]}_${things[kind]}`;

test.each(KINDS)('node() finds a %s of the own team as what it is', async (kind) => {
  const id = publicId(kind, own.things);
  const query = '{ node(id: "ID") { __typename id } }'.replace('ID', id);
  expect(JSON.parse((await send({ query })).slice(4))).toEqual({
    data: { node: { __typename: TYPES[kind], id } },
  });
});

const page = '{ totalCount nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }';
const startImport = `mutation ($input: StartImportInput!) {
  startImport(input: $input) {
    __typename ... on Error { message } ... on NotFoundError { path } ... on InvalidInputError { issues { path message } }
  }
}`;
const video = { externalId: 'a', url: 'http://127.0.0.1:9/a.mp4', fileName: 'a.mp4' };
const from = { videos: { systemName: 'dam', videos: [video] } };

/** Each names one id, whose answer for what is there must differ from the answer for what is not. */
const LOOKUPS: Readonly<Record<string, (things: Things, mine: Things) => Operation>> = {
  task: (things) => ({ query: `{ task(id: "${publicId('task', things)}") { id fileName } }` }),
  import: (things) => ({ query: `{ import(id: "${publicId('import', things)}") { id state } }` }),
  importStatus: (things) => ({
    query: `{ importStatus(id: "${publicId('import', things)}") { id counts { found } } }`,
  }),
  video: (things) => ({ query: `{ video(id: "${publicId('video', things)}") { id sha256 } }` }),
  index: (things) => ({ query: `{ index(id: "${publicId('index', things)}") { id name } }` }),
  ...Object.fromEntries(
    KINDS.map((kind) => [
      `node of a ${kind}`,
      (things: Things) => ({ query: `{ node(id: "${publicId(kind, things)}") { id } }` }),
    ]),
  ),
  ...Object.fromEntries(
    [
      ['tasks', 'teamId', 'team'],
      ['tasks', 'indexId', 'index'],
      ['tasks', 'importId', 'import'],
      ['tasks', 'videoId', 'video'],
      ['imports', 'teamId', 'team'],
      ['imports', 'indexId', 'index'],
      ['videos', 'teamId', 'team'],
      ['videos', 'indexId', 'index'],
    ].map(([list, field, kind]) => [
      `${list} by ${field}`,
      // kind is one of those above.
      (things: Things) => ({
        query: `{ ${list}(filter: { ${field}: "${publicId(kind as keyof Things, things)}" }) ${page} }`,
      }),
    ]),
  ),
  'tasks by the own team and an import': (things, mine) => ({
    query: `{ tasks(filter: { teamId: "${publicId('team', mine)}", importId: "${publicId('import', things)}" }) ${page} }`,
  }),
  'indexes by teamId': (things) => ({ query: `{ indexes(teamId: "${publicId('team', things)}") ${page} }` }),
  "an own import's tasks by videoId": (things, mine) => ({
    query: `{ import(id: "${publicId('import', mine)}") { tasks(filter: { videoId: "${publicId('video', things)}" }) { totalCount } } }`,
  }),
  "an own import's tasks by indexId": (things, mine) => ({
    query: `{ import(id: "${publicId('import', mine)}") { tasks(filter: { indexId: "${publicId('index', things)}" }) { totalCount } } }`,
  }),
};

describe("another team's id is answered, to the byte, as one that names nothing", () => {
  test.each(Object.entries(LOOKUPS))('%s', async (_, operation) => {
    const [ofOthers, ofNobody, ofMine] = await Promise.all(
      [other.things, nothing(), own.things].map((things) => send(operation(things, own.things))),
    );
    expect(ofOthers).toBe(ofNobody);
    expect(ofOthers).toMatch(/^200 \{"data":/);
    expect(ofMine).not.toBe(ofNobody);
    // The other team itself sees its own.
    expect(await send(operation(other.things, other.things), other.key)).not.toBe(ofNobody);
  });

  test.each(['indexId', 'teamId'] as const)('startImport into %s', async (field) => {
    const kind = field === 'indexId' ? 'index' : 'team';
    const before = await rows.count('imports');
    const [ofOthers, ofNobody] = await Promise.all(
      [other.things, nothing()].map((things) =>
        send({ query: startImport, variables: { input: { from, [field]: publicId(kind, things) } } }),
      ),
    );
    expect(ofOthers).toBe(ofNobody);
    expect(JSON.parse(ofOthers?.slice(4) ?? '').data.startImport).toMatchObject({
      __typename: 'NotFoundError',
      path: ['input', field],
    });
    expect(await rows.count('imports')).toBe(before);
  });

  test("startImport into the own team with the other team's index", async () => {
    const input = (things: Things) => ({
      from,
      teamId: publicId('team', own.things),
      indexId: publicId('index', things),
    });
    const [ofOthers, ofNobody] = await Promise.all(
      [other.things, nothing()].map((things) =>
        send({ query: startImport, variables: { input: input(things) } }),
      ),
    );
    expect(ofOthers).toBe(ofNobody);
    expect(ofOthers).toContain('"path":["input","indexId"]');
  });

  test.each(['importProgress', 'taskProgress'])('subscribing to %s', async (field) => {
    const kind = field === 'importProgress' ? 'import' : 'task';
    const subscribe = async (things: Things) => {
      const query = `subscription { ${field}(id: "${publicId(kind, things)}") { __typename } }`;
      const headers = { accept: 'text/event-stream' };
      const { status, text } = await post({
        url: server.url,
        key: server.key,
        body: JSON.stringify({ query }),
        headers,
      });
      return `${status} ${text}`;
    };
    const ofOthers = await subscribe(other.things);
    expect(ofOthers).toBe(await subscribe(nothing()));
    expect(ofOthers).toContain('"code":"NOT_FOUND"');
  });
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
    new Set([`team_${own.teamId}`]),
  );
  expect(await send({ query: `{ tasks(first: 50, after: "${made}") { nodes { id team { id } } } }` })).toBe(
    answer,
  );
});
