import { parse } from 'graphql';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fromPublicId, toPublicId } from '../../src/services/public-ids.ts';
import { createTestClient } from '../support/client.ts';
import { graphql, type VariablesOf } from '../support/graphql.ts';
import { firstTeam, insertTeam, openRows, type Rows, type TeamRows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { createTaskCreator } from './created-tasks.ts';
import { makeContents, sha256 } from './file-origin.ts';
import { createTusClient, idOf } from './tus-client.ts';

const MAKE = graphql(`
  mutation MakeUploadToken($input: CreateUploadTokenInput!) {
    createUploadToken(input: $input) {
      __typename
      ... on CreateUploadTokenSuccess { token expiresAt }
      ... on InvalidInputError { issues { path code } }
      ... on NotFoundError { path }
      ... on ForbiddenError { requiredScope }
    }
  }
`);
const CREATE = graphql(`
  mutation TokenTask($input: CreateTaskInput!) {
    createTask(input: $input) {
      __typename
      ... on Error { message }
      ... on CreateTaskSuccess { task { id status waitingFor fileName } }
      ... on InvalidInputError { issues { path code } }
      ... on NotFoundError { path }
    }
  }
`);
const WATCH = graphql(`
  subscription TokenProgress($id: ID!) {
    taskProgress(id: $id) { task { id status progress { fraction bytesDone } stages { name state } error { code } } }
  }
`);
const LOOK = graphql(`query TokenLook($id: ID!) { task(id: $id) { id status name } }`);
const WHERE = graphql(`query TokenWhere($id: ID!) { task(id: $id) { index { id } video { sha256 } } }`);

let server: TestServer;
let rows: Rows;
let team: TeamRows;
let freshContent: () => Buffer;

beforeAll(async () => {
  freshContent = await makeContents();
  server = await startTestServer();
  rows = await openRows(server.databaseUrl);
  team = await firstTeam(rows, server.key);
});
afterAll(async () => {
  await rows?.close();
  await server?.stop();
});

const ask = async (input: VariablesOf<typeof MAKE>['input']) =>
  (await server.query(MAKE, { input })).createUploadToken;

async function makeToken(input: VariablesOf<typeof MAKE>['input'] = {}): Promise<string> {
  const made = await ask(input);
  if (made.__typename !== 'CreateUploadTokenSuccess') throw new Error(JSON.stringify(made));
  return made.token;
}

const holding = (token: string) => {
  const client = createTestClient({ url: server.url, key: token });
  return {
    client,
    tus: createTusClient({ url: server.url, key: token }),
    creator: createTaskCreator(client),
  };
};

test('a token brings in one file, into its index, and watches that', async () => {
  const { indexId } = await insertIndex();
  const token = await makeToken({ indexId: toPublicId('Index', indexId) });
  const { client, tus } = holding(token);
  const bytes = freshContent();
  const path = await tus.begin(bytes.length, { filename: 'mine.mp4' });
  const input = { from: { uploadId: idOf(path) } };
  const { createTask } = await client.query(CREATE, { input });
  if (createTask.__typename !== 'CreateTaskSuccess') throw new Error(JSON.stringify(createTask));
  const { id } = createTask.task;
  expect(createTask.task).toMatchObject({ status: 'PENDING', waitingFor: 'UPLOAD', fileName: 'mine.mp4' });
  const states: string[] = [];
  const watched = (async () => {
    for await (const { taskProgress } of client.overWebSocket(WATCH, { id }))
      states.push(taskProgress.task.status);
  })();
  await tus.patch(path, 0, bytes.subarray(0, 1000));
  expect(await tus.offset(path)).toBe(1000);
  await tus.patch(path, 1000, bytes.subarray(1000));
  await watched;
  expect(states.at(-1)).toBe('READY');
  expect(await client.query(LOOK, { id })).toMatchObject({ task: { id, status: 'READY' } });
  expect(await server.query(WHERE, { id })).toMatchObject({
    task: { index: { id: toPublicId('Index', indexId) }, video: { sha256: sha256(bytes) } },
  });
  // One file, one task.
  expect((await tus.send({ method: 'POST', headers: { 'upload-length': 1 } })).status).toBe(403);
  expect((await client.query(CREATE, { input })).createTask).toMatchObject({
    issues: [{ code: 'DUPLICATE' }],
  });
});

async function insertIndex(): Promise<{ indexId: string }> {
  const [row] = await rows.all<{ id: string }>(
    "insert into indexes (id, team_id, name, is_default) values (gen_random_uuid(), $1, 'Second', false) returning id",
    [team.teamId],
  );
  return { indexId: row?.id ?? '' };
}

/** Everything that a token may not ask for; ids are of what its team has. */
const FORBIDDEN_DOCUMENTS = (ids: {
  task: string;
  ownTask: string;
  team: string;
  index: string;
}): readonly string[] => [
  '{ __schema { types { name } } }',
  '{ __type(name: "Task") { name } }',
  '{ viewer { keyName } }',
  '{ tasks { totalCount } }',
  '{ imports { totalCount } }',
  '{ videos { totalCount } }',
  '{ indexes { totalCount } }',
  '{ integrations { totalCount } }',
  `{ node(id: "${ids.task}") { id } }`,
  `{ node(id: "${ids.ownTask}") { id } }`,
  `{ index(id: "${ids.index}") { name } }`,
  `{ task(id: "${ids.ownTask}") { team { name } } }`,
  `{ task(id: "${ids.ownTask}") { index { videoCount } } }`,
  `{ task(id: "${ids.ownTask}") { video { originalUrl } } }`,
  `{ task(id: "${ids.ownTask}") { import { id } } }`,
  `query { task(id: "${ids.ownTask}") { ...x } } fragment x on Task { ...y } fragment y on Task { team { id } }`,
  `{ task(id: "${ids.ownTask}") { ... on Node { ... on Task { team { id } } } } }`,
  `{ mine: task(id: "${ids.ownTask}") { id } other: videos { totalCount } }`,
  '{ importPlan(input: { from: { videos: { systemName: "s", videos: [] } } }) { __typename } }',
  'mutation { createUploadToken(input: {}) { __typename } }',
  `mutation { cancelTask(id: "${ids.ownTask}") { __typename } }`,
  `mutation { retryTask(id: "${ids.ownTask}") { __typename } }`,
  'mutation { startImport(input: { from: { videos: { systemName: "s", videos: [] } } }) { __typename } }',
  'mutation { createIntegration(input: { name: "i", location: { folder: { path: "/" } } }) { __typename } }',
  'subscription { importProgress(id: "imp_00000000-0000-7000-8000-000000000000") { cursor } }',
  `subscription { taskProgress(id: "${ids.ownTask}") { task { team { id } } } }`,
];

test('a token may do nothing else, over HTTP and over WebSocket', async () => {
  const keyed = createTaskCreator(server);
  const theirs = await keyed.create({ from: { uploadId: idOf(await createTusClient(server).begin(10)) } });
  const { client, tus, creator } = holding(await makeToken());
  const own = await creator.ask({ from: { uploadId: idOf(await tus.begin(10)) } }).catch(() => null);
  // What creator asks for is more than a token may read: nothing was made.
  expect(own).toBeNull();
  const path = `/uploads/${toPublicId('Upload', (await rows.one<{ id: string }>('select id from uploads where token_id is not null and used_at is null')).id)}`;
  const { createTask } = await client.query(CREATE, { input: { from: { uploadId: idOf(path) } } });
  if (createTask.__typename !== 'CreateTaskSuccess') throw new Error(JSON.stringify(createTask));
  const ids = {
    task: theirs.id,
    ownTask: createTask.task.id,
    team: toPublicId('Team', team.teamId),
    index: toPublicId('Index', team.indexId),
  };
  const before = await rows.count('tasks');
  for (const document of FORBIDDEN_DOCUMENTS(ids)) {
    const answer = await sendText(client, document);
    expect(answer.data ?? null, document).toBeNull();
    expect(answer.errors?.[0]?.extensions?.code, document).toBe('FORBIDDEN');
    const streamed = await streamText(client, document);
    expect(streamed, document).toMatch(/FORBIDDEN/);
  }
  // Tasks of others are as unknown as none; so are their uploads.
  expect(await client.send(LOOK, { id: theirs.id })).toEqual({ data: { task: null } });
  await expect(
    streamText(client, `subscription { taskProgress(id: "${theirs.id}") { task { id } } }`),
  ).resolves.toMatch(/NOT_FOUND/);
  const strange = await createTusClient(server).begin(10);
  expect((await tus.send({ method: 'HEAD', at: strange })).status).toBe(404);
  const inputs: VariablesOf<typeof CREATE>['input'][] = [
    { from: { uploadId: idOf(strange) } },
    { from: { url: 'https://videos.example/a.mp4' } },
    { from: { uploadId: idOf(path) }, idempotencyKey: 'k' },
    { from: { uploadId: idOf(path) }, indexId: toPublicId('Index', (await insertIndex()).indexId) },
  ];
  const made = [];
  for (const input of inputs) made.push((await client.query(CREATE, { input })).createTask.__typename);
  expect(made).toEqual(['NotFoundError', 'ForbiddenError', 'InvalidInputError', 'NotFoundError']);
  expect(await rows.count('tasks')).toBe(before);
});

const sendText = (client: ReturnType<typeof createTestClient>, text: string) =>
  // Any text, not a typed document: parsed so that it can be printed.
  client.send(parse(text) as never);

async function streamText(client: ReturnType<typeof createTestClient>, text: string): Promise<string> {
  try {
    for await (const event of client.overWebSocket(parse(text) as never)) return JSON.stringify(event);
    return 'nothing';
  } catch (error) {
    return error instanceof Error ? error.message : JSON.stringify(error);
  }
}

test('a token has its size and its time, and ends with its key', async () => {
  const token = await makeToken({ maxBytes: 100 });
  const { tus, client } = holding(token);
  expect((await tus.send({ method: 'POST', headers: { 'upload-length': 101 } })).status).toBe(413);
  const path = await tus.begin(100);
  const set = (change: string) =>
    rows.all(`update upload_tokens set ${change} where id = (select token_id from uploads where id = $1)`, [
      fromPublicId('Upload', idOf(path)),
    ]);
  await set("expires_at = now() - interval '1 second'");
  expect((await tus.send({ method: 'HEAD', at: path })).status).toBe(401);
  expect((await client.send(LOOK, { id: 'task_x' })).errors?.[0]?.extensions?.code).toBe('UNAUTHENTICATED');
  await set("expires_at = now() + interval '1 minute'");
  expect(await tus.offset(path)).toBe(0);
  await rows.all('update api_keys set revoked_at = now() where default_team_id = $1', [team.teamId]);
  expect((await tus.send({ method: 'HEAD', at: path })).status).toBe(401);
  await rows.all('update api_keys set revoked_at = null where default_team_id = $1', [team.teamId]);
  const stored = await rows.one<{ text: string }>(
    "select string_agg(t::text, ' ') as text from upload_tokens t",
  );
  expect(stored.text).not.toContain(token);
});

test('what is asked of a token is checked, and it takes a key that may write', async () => {
  expect(await ask({ maxBytes: 0, expiresInSeconds: 86_401 })).toMatchObject({
    issues: [
      { path: ['input', 'maxBytes'], code: 'TOO_SMALL' },
      { path: ['input', 'expiresInSeconds'], code: 'TOO_LARGE' },
    ],
  });
  const other = await insertTeam(rows, 'Others');
  expect(await ask({ indexId: toPublicId('Index', other.indexId) })).toMatchObject({
    path: ['input', 'indexId'],
  });
  expect(await ask({ teamId: toPublicId('Team', other.teamId) })).toMatchObject({
    path: ['input', 'teamId'],
  });
  await rows.all("update api_keys set scopes = '{READ}' where default_team_id = $1", [other.teamId]);
  const reader = createTestClient({ url: server.url, key: other.key });
  expect((await reader.query(MAKE, { input: {} })).createUploadToken).toMatchObject({
    requiredScope: 'WRITE',
  });
});
