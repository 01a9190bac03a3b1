import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestClient } from '../support/client.ts';
import { graphql, type VariablesOf } from '../support/graphql.ts';
import {
  firstTeam,
  insertFinishedImport,
  insertTeam,
  openRows,
  type Rows,
  type TeamRows,
} from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

const INDEX = graphql(`
  fragment ChangedIndex on Index @_unmask {
    id name isDefault videoCount analyzers
    requirements { minWidth minHeight maxWidth maxHeight minAspectRatio maxAspectRatio minDuration maxDuration maxSize }
    ownRequirements { minWidth minHeight maxWidth maxHeight minAspectRatio maxAspectRatio minDuration maxDuration maxSize }
  }
`);
const CREATE = graphql(
  `mutation CreateIndex($input: CreateIndexInput!) {
    createIndex(input: $input) {
      __typename
      ... on CreateIndexSuccess { index { ...ChangedIndex } }
      ... on InvalidInputError { issues { path code message } }
      ... on NotFoundError { path }
    }
  }`,
  [INDEX],
);
const UPDATE = graphql(
  `mutation UpdateIndex($input: UpdateIndexInput!) {
    updateIndex(input: $input) {
      __typename
      ... on UpdateIndexSuccess { index { ...ChangedIndex } }
      ... on InvalidInputError { issues { path code message } }
      ... on NotFoundError { path }
    }
  }`,
  [INDEX],
);
const DELETE = graphql(`
  mutation DeleteIndex($id: ID!) {
    deleteIndex(id: $id) {
      __typename
      ... on DeleteIndexSuccess { deletedId }
      ... on NotFoundError { path }
      ... on IndexNotEmptyError { message videoCount unfinishedTaskCount }
      ... on IndexIsDefaultError { message }
    }
  }
`);
const INDEXES = graphql(`query AllIndexes { indexes(first: 100) { nodes { id isDefault } } }`);
const IMPORT = graphql(`
  query ImportOfIndex($id: ID!) { import(id: $id) { index { id } counts { found ready } tasks { totalCount } } }
`);
const START = graphql(`
  mutation StartIntoIndex($input: StartImportInput!) {
    startImport(input: $input) {
      __typename
      ... on StartImportSuccess { import { id } }
      ... on NotFoundError { path }
      ... on Error { message }
    }
  }
`);
const CREATE_TASK = graphql(`
  mutation TaskIntoIndex($input: CreateTaskInput!) {
    createTask(input: $input) { __typename ... on CreateTaskSuccess { task { id } } ... on NotFoundError { path } }
  }
`);

let server: TestServer;
let rows: Rows;
let team: TeamRows;

beforeAll(async () => {
  server = await startTestServer({ SLUICE_PLAN_SECONDS: '1' });
  rows = await openRows(server.databaseUrl);
  team = await firstTeam(rows, server.key);
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
});

const create = async (input: VariablesOf<typeof CREATE>['input']) =>
  (await server.query(CREATE, { input })).createIndex;
const update = async (input: VariablesOf<typeof UPDATE>['input']) =>
  (await server.query(UPDATE, { input })).updateIndex;
const remove = async (id: string) => (await server.query(DELETE, { id })).deleteIndex;

async function made(input: Partial<VariablesOf<typeof CREATE>['input']> = {}) {
  const result = await create({ name: 'Another', ...input });
  if (result.__typename !== 'CreateIndexSuccess') throw new Error(JSON.stringify(result));
  return result.index;
}

const defaults = async () =>
  (
    await rows.all<{ id: string }>('select id from indexes where team_id = $1 and is_default', [team.teamId])
  ).map(({ id }) => `idx_${id}`);

describe('the rules of an index', () => {
  test('are the most restrictive of its own and the server’s; left out stays, null takes away', async () => {
    const server = {
      minWidth: 360,
      minHeight: 360,
      maxWidth: 5184,
      maxHeight: 2160,
      minDuration: 4,
      maxDuration: 7200,
    };
    const index = await made({
      name: 'Strict',
      requirements: { minWidth: 1280, maxWidth: 9999, minDuration: 1.5, maxSize: 1_000_000 },
    });
    expect(index).toMatchObject({ name: 'Strict', isDefault: false, videoCount: 0 });
    expect(index.ownRequirements).toMatchObject({
      minWidth: 1280,
      maxWidth: 9999,
      minDuration: 1.5,
      maxSize: 1_000_000,
      minHeight: null,
    });
    expect(index.requirements).toMatchObject({ ...server, minWidth: 1280, maxSize: 1_000_000 });
    const { id } = index;
    expect(
      await update({ id, name: 'Less', requirements: { minWidth: null, maxDuration: 60 } }),
    ).toMatchObject({
      index: {
        name: 'Less',
        ownRequirements: { minWidth: null, maxWidth: 9999, maxDuration: 60, maxSize: 1_000_000 },
        requirements: { ...server, maxDuration: 60, maxSize: 1_000_000 },
      },
    });
    expect(await update({ id, requirements: null })).toMatchObject({
      index: {
        name: 'Less',
        ownRequirements: { maxWidth: null, maxDuration: null, maxSize: null },
        requirements: server,
      },
    });
  });

  test.each([
    [{ minWidth: 0 }, 'minWidth', 'TOO_SMALL'],
    [{ maxHeight: -1 }, 'maxHeight', 'TOO_SMALL'],
    [{ minAspectRatio: 0.5 }, 'minAspectRatio', 'TOO_SMALL'],
    [{ maxDuration: 0 }, 'maxDuration', 'TOO_SMALL'],
    [{ minDuration: -0.1 }, 'minDuration', 'TOO_SMALL'],
    [{ maxSize: 0 }, 'maxSize', 'TOO_SMALL'],
    [{ minWidth: 2000, maxWidth: 1000 }, 'minWidth', 'TOO_LARGE'],
    // Beyond what the server allows nothing could come in.
    [{ minWidth: 6000 }, 'minWidth', 'TOO_LARGE'],
    [{ maxWidth: 100 }, 'maxWidth', 'TOO_SMALL'],
    [{ maxDuration: 3 }, 'maxDuration', 'TOO_SMALL'],
    [{ minAspectRatio: 3 }, 'minAspectRatio', 'TOO_LARGE'],
    [{ minHeight: 1080, maxWidth: 720 }, 'minHeight', 'TOO_LARGE'],
  ])('that would let nothing in are refused: %j', async (requirements, bound, code) => {
    const issues = [expect.objectContaining({ path: ['input', 'requirements', bound], code })];
    expect(await create({ name: 'None', requirements })).toEqual({
      __typename: 'InvalidInputError',
      issues: expect.arrayContaining(issues),
    });
    const { id } = await made();
    expect(await update({ id, requirements })).toMatchObject({ __typename: 'InvalidInputError' });
  });

  test('are held to what is there when only one bound is given', async () => {
    const { id } = await made({ requirements: { minDuration: 100 } });
    const result = await update({ id, requirements: { maxDuration: 50 } });
    expect(result).toMatchObject({
      issues: [{ path: ['input', 'requirements', 'maxDuration'], code: 'TOO_SMALL' }],
    });
  });
});

test('analyzers are all unless chosen, each once and in their order; null takes the choice back', async () => {
  const all = ['THUMBNAILS', 'SCENES', 'FINGERPRINT', 'QUALITY', 'SCAN_TYPE'] as const;
  expect((await made()).analyzers).toEqual(all);
  const { id, analyzers } = await made({ analyzers: ['QUALITY', 'SCENES', 'QUALITY'] });
  expect(analyzers).toEqual(['SCENES', 'QUALITY']);
  expect(await update({ id, name: 'Renamed' })).toMatchObject({
    index: { analyzers: ['SCENES', 'QUALITY'] },
  });
  expect(await update({ id, analyzers: [] })).toMatchObject({ index: { analyzers: [] } });
  expect(await update({ id, analyzers: null })).toMatchObject({ index: { analyzers: all } });
});

test('a name has 1 to 255 characters, a team is one of the viewer’s', async () => {
  for (const name of ['', 'x'.repeat(256), 'a\0'])
    expect(await create({ name })).toMatchObject({ issues: [{ path: ['input', 'name'] }] });
  const { id } = await made();
  expect(await update({ id, name: null })).toMatchObject({
    issues: [{ path: ['input', 'name'], code: 'REQUIRED' }],
  });
  expect(await create({ name: 'x', teamId: `team_${randomUUID()}` })).toEqual({
    __typename: 'NotFoundError',
    path: ['input', 'teamId'],
  });
  expect(await update({ id: `idx_${randomUUID()}` })).toEqual({
    __typename: 'NotFoundError',
    path: ['input', 'id'],
  });
});

test('another index becomes the default; of many that do at once one is', async () => {
  const [before = ''] = await defaults();
  const several = await Promise.all(Array.from({ length: 5 }, () => made()));
  const answers = await Promise.all(several.map(({ id }) => update({ id, makeDefault: true })));
  expect(answers.every(({ __typename }) => __typename === 'UpdateIndexSuccess')).toBe(true);
  const [now, ...others] = await defaults();
  expect(several.map(({ id }) => id)).toContain(now);
  expect(others).toEqual([]);
  expect(await update({ id: before, makeDefault: true })).toMatchObject({
    index: { id: before, isDefault: true },
  });
  expect(await update({ id: before, makeDefault: false })).toMatchObject({ index: { isDefault: true } });
  expect(await defaults()).toEqual([before]);
});

describe('an index is deleted', () => {
  test('only when it is not the default', async () => {
    const [id = ''] = await defaults();
    expect(await remove(id)).toMatchObject({ __typename: 'IndexIsDefaultError' });
  });

  test('only without videos and unfinished tasks; its finished tasks go, imports stay', async () => {
    const { id } = await made();
    const indexId = id.slice('idx_'.length);
    const importId = await insertFinishedImport(rows, { ...team, indexId }, { tasks: 30, videos: 2 });
    await rows.all(
      `update tasks set status = 'PENDING', outcome = null, waiting_for = 'WORKER', fraction = 0, finished_at = null where import_id = $1 and ordinal = 29`,
      [importId],
    );
    expect(await remove(id)).toMatchObject({
      __typename: 'IndexNotEmptyError',
      videoCount: 2,
      unfinishedTaskCount: 1,
    });
    await rows.all('delete from videos where index_id = $1', [indexId]);
    expect(await remove(id)).toMatchObject({
      __typename: 'IndexNotEmptyError',
      videoCount: 0,
      unfinishedTaskCount: 1,
    });
    await rows.all(
      `update tasks set status = 'CANCELED', outcome = 'CANCELED', waiting_for = null, finished_at = now() where index_id = $1 and finished_at is null`,
      [indexId],
    );
    await rows.all(`insert into video_keys values ($1, 'dam', 'asset-1', gen_random_uuid())`, [indexId]);
    expect(await remove(id)).toEqual({ __typename: 'DeleteIndexSuccess', deletedId: id });
    expect(await remove(id)).toEqual({ __typename: 'NotFoundError', path: ['id'] });
    const { import: found } = await server.query(IMPORT, { id: `imp_${importId}` });
    expect(found).toEqual({ index: null, counts: { found: 30, ready: 30 }, tasks: { totalCount: 0 } });
    const { nodes } = (await server.query(INDEXES)).indexes;
    expect(nodes.map((each) => each.id)).not.toContain(id);
  });

  test('not while an import into it is being planned', async () => {
    const { id } = await made();
    await rows.all(
      `insert into imports (id, team_id, index_id, source, integration_id, listed, incremental, state, found)
       values (gen_random_uuid(), $1, $2, 'OBJECTS', null, true, true, 'PLANNING', 3)`,
      [team.teamId, id.slice('idx_'.length)],
    );
    expect(await remove(id)).toMatchObject({ __typename: 'IndexNotEmptyError', videoCount: 0 });
  });

  test('or is led to: never both, and never half', async () => {
    for (let round = 0; round < 8; round += 1) {
      const { id } = await made();
      const url = 'http://127.0.0.1:9/none.mp4';
      const videos = [{ externalId: 'one', url, fileName: 'one.mp4' }];
      const [deleted, started, task] = await Promise.all([
        remove(id),
        server.query(START, {
          input: { indexId: id, from: { videos: { systemName: `race-${round}`, videos } } },
        }),
        server.query(CREATE_TASK, { input: { indexId: id, from: { url } } }),
      ]);
      const led = [started.startImport.__typename, task.createTask.__typename];
      expect(
        led.every((name) => name === 'NotFoundError') ? 'gone' : 'kept',
        JSON.stringify([deleted, led]),
      ).toBe(deleted.__typename === 'DeleteIndexSuccess' ? 'gone' : 'kept');
      if (deleted.__typename !== 'DeleteIndexSuccess') expect(deleted.__typename).toBe('IndexNotEmptyError');
    }
  });

  test('of many who do at once one does; another team’s is not found', async () => {
    const { id } = await made();
    const { key } = await insertTeam(rows, 'Others');
    const stranger = createTestClient({ url: server.url, key });
    expect((await stranger.query(DELETE, { id })).deleteIndex).toEqual({
      __typename: 'NotFoundError',
      path: ['id'],
    });
    expect((await stranger.query(UPDATE, { input: { id, name: 'Mine' } })).updateIndex).toMatchObject({
      __typename: 'NotFoundError',
    });
    const answers = await Promise.all(Array.from({ length: 8 }, () => remove(id)));
    expect(answers.filter(({ __typename }) => __typename === 'DeleteIndexSuccess')).toHaveLength(1);
  });
});
