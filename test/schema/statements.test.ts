import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { graphql } from '../support/graphql.ts';
import { firstTeam, insertFinishedImport, openRows, type Rows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

/** The statements of the request that is being served, whatever else the server does meanwhile. */
const ofRequest = new AsyncLocalStorage<string[]>();
const requests: string[][] = [];
const onRequest = () => {
  const statements: string[] = [];
  requests.push(statements);
  ofRequest.enterWith(statements);
};

const query = pg.Client.prototype.query;

let server: TestServer;
let rows: Rows;
let importId: string;

beforeAll(async () => {
  server = await startTestServer();
  rows = await openRows(server.databaseUrl);
  importId = await insertFinishedImport(rows, await firstTeam(rows, server.key), { tasks: 200 });
  await rows.all(
    `insert into failed_files (id, team_id, import_id, ordinal, file_name, name, error_code, error_message, error_retryable)
     select gen_random_uuid(), team_id, id, 1000 + n, 'bad.mp4', 'bad', 'SOURCE_NOT_FOUND', 'not there', false
       from imports, generate_series(1, 50) n`,
  );
  subscribe('http.server.request.start', onRequest);
  pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
    const [first] = args;
    const text = typeof first === 'string' ? first : (first as { text?: string } | null)?.text; // as pg takes it
    ofRequest.getStore()?.push(text ?? String(first));
    return Reflect.apply(query, this, args);
  } as typeof query;
});

afterAll(async () => {
  pg.Client.prototype.query = query;
  unsubscribe('http.server.request.start', onRequest);
  await rows?.close();
  await server?.stop();
});

/** What a request asked of the database, apart from who is asking. */
async function statementsOf(request: () => Promise<unknown>): Promise<string[]> {
  requests.length = 0;
  await request();
  const [statements = [], ...others] = requests;
  expect(others).toEqual([]);
  // Who is behind the key is known for a while.
  return statements.filter((statement) => !statement.includes('from api_keys'));
}

test('a page of tasks with import, index, video and progress is one statement', async () => {
  const TASKS = graphql(`
    query Nested {
      tasks(first: 100) {
        nodes {
          id fileName status metadata
          progress { fraction bytesDone }
          stages { name state fraction }
          team { name }
          import { id state systemName index { name } }
          index { name isDefault videoCount team { name } requirements { maxWidth } }
          video { id name sha256 originalUrl systemMetadata { width } index { name } }
        }
        pageInfo { hasNextPage endCursor }
      }
    }
  `);
  const statements = await statementsOf(async () => {
    const { nodes } = (await server.query(TASKS)).tasks;
    expect(nodes).toHaveLength(100);
    expect(nodes.every((task) => task.video && task.import?.index)).toBe(true);
  });
  expect(statements, statements.join('\n\n')).toHaveLength(1);
});

test('totalCount costs one statement more', async () => {
  const COUNTED = graphql(`query Counted { tasks(first: 5) { totalCount nodes { id } } }`);
  const statements = await statementsOf(() => server.query(COUNTED));
  expect(statements, statements.join('\n\n')).toHaveLength(2);
  const ONLY_COUNTED = graphql(`query OnlyCounted { tasks { totalCount } }`);
  const only = await statementsOf(() => server.query(ONLY_COUNTED));
  expect(only, only.join('\n\n')).toHaveLength(1);
  expect(only[0]).toContain('count(');
});

test('importStatus of a finished import, with a page of its tasks and of its failed files and all counts, is one statement', async () => {
  const STATUS = graphql(`
    query Status($id: ID!) {
      importStatus(id: $id) {
        id state finished hasFailures cursor
        counts { found ready failed rejected }
        progress { fraction bytesDone }
        index { name }
        tasks(first: 100) { totalCount nodes { id status progress { fraction } video { id name } } pageInfo { endCursor } }
        failedFiles(first: 100) { totalCount nodes { id error { code message } } }
      }
    }
  `);
  const statements = await statementsOf(async () => {
    const { importStatus } = await server.query(STATUS, { id: `imp_${importId}` });
    expect(importStatus?.tasks.nodes).toHaveLength(100);
    expect(importStatus?.tasks.totalCount).toBe(200);
    expect(importStatus?.failedFiles.nodes).toHaveLength(50);
  });
  expect(statements, statements.join('\n\n')).toHaveLength(1);
});

test('the counts of running imports are one statement more, for however many imports', async () => {
  await rows.all(
    `insert into imports (id, team_id, index_id, system_name, incremental, state, found)
     select gen_random_uuid(), team_id, index_id, 'running', true, 'PLANNING', 10 from imports, generate_series(1, 20)`,
  );
  const IMPORTS = graphql(`
    query Running {
      imports(first: 100, filter: { systemName: "running" }) { nodes { id hasFailures counts { found undecided } progress { fraction } } }
    }
  `);
  const statements = await statementsOf(async () => {
    expect((await server.query(IMPORTS)).imports.nodes).toHaveLength(20);
  });
  expect(statements, statements.join('\n\n')).toHaveLength(2);
});

test('a page of videos with the tasks of each is one statement', async () => {
  const VIDEOS = graphql(`
    query VideosWithTasks { videos(first: 50) { nodes { id name team { name } tasks(first: 3) { totalCount nodes { id status } } } } }
  `);
  const statements = await statementsOf(async () => {
    const { nodes } = (await server.query(VIDEOS)).videos;
    expect(nodes).toHaveLength(50);
    expect(nodes.every(({ tasks }) => tasks.totalCount === 1)).toBe(true);
  });
  expect(statements, statements.join('\n\n')).toHaveLength(1);
});
