import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, createClient } from 'graphql-ws';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { post } from '../support/raw.ts';
import { firstTeam, insertTeam, openRows, type Rows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { examplesWith, ID_KINDS } from './id-kinds.ts';
import { type IdOperation, idCoordinates, idOperations, nestedIdOperations } from './operations.ts';
import { KINDS, type Kind, makeThings, noThings, type Things } from './team-things.ts';

const folder = await mkdtemp(join(tmpdir(), 'sluice-ids-'));
const examples = examplesWith({ folder });
let server: TestServer;
let rows: Rows;
let socket: Client;
let own: Things;
let others: Things;

beforeAll(async () => {
  await writeFile(join(folder, 'x'), 'no video');
  // The server reads folders as what it runs as.
  server = await startTestServer({ SLUICE_ALLOW_FOLDERS: folder, SLUICE_PLAN_SECONDS: '1' });
  rows = await openRows(server.databaseUrl);
  own = await makeThings(rows, await firstTeam(rows, server.key), folder);
  others = await makeThings(rows, await insertTeam(rows, 'Other team'), folder);
  socket = createClient({
    url: `${server.url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${server.key}` },
    lazy: false,
  });
});

afterAll(async () => {
  await socket?.dispose();
  await rows?.close();
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

type Sent = Pick<IdOperation, 'query' | 'variables'>;

async function overHttp({ query, variables }: Sent, id: string): Promise<string> {
  const body = JSON.stringify({ query, variables: variables(id) });
  const accept = query.startsWith('subscription') ? 'text/event-stream' : 'application/json';
  const { status, text } = await post({ url: server.url, key: server.key, body, headers: { accept } });
  return `${status} ${text}`;
}

/** The first message; a subscription to what is there would have more. */
async function overSocket({ query, variables }: Sent, id: string): Promise<string> {
  const events = socket.iterate({ query, variables: variables(id) });
  try {
    const { value } = await events.next();
    return JSON.stringify(value);
  } catch (error) {
    return JSON.stringify(error);
  } finally {
    await events.return?.();
  }
}

const TRANSPORTS = { HTTP: overHttp, WebSocket: overSocket } as const;
const NODE_KINDS: Readonly<Record<string, Kind>> = { Import: 'import', Task: 'task', Video: 'video' };
const kindOf = ({ coordinate }: IdOperation): Kind => ID_KINDS[coordinate] ?? 'task';
const another = (kind: Kind): Kind => KINDS[(KINDS.indexOf(kind) + 1) % KINDS.length] ?? 'team';
/** What may repeat the id that it was asked for. */
const without = (answer: string, id: string) => answer.replaceAll(id, 'ID');

/** Never ends, and begins with the same event whatever its filter names: what it may tell has tests of its own. */
const isEndless = ({ field }: IdOperation) => field === 'tasksChanged';

const operations: readonly IdOperation[] = [
  ...idOperations('query', examples),
  ...nestedIdOperations(examples, (type) => own[NODE_KINDS[type] ?? 'team']),
  ...idOperations('subscription', examples).filter((operation) => !isEndless(operation)),
  ...idOperations('mutation', examples),
];

test('of everything that takes an id it is known what of', () => {
  expect(Object.keys(ID_KINDS).sort()).toEqual(idCoordinates());
});

test.each(operations)(
  "$name: another team's id is answered, to the byte, as one of nothing",
  async (operation) => {
    const kind = kindOf(operation);
    const before = await contents();
    // Any type of id is right for node.
    const wrong =
      operation.field === 'node' ? [randomUUID()] : [own[another(kind)], others[another(kind)], ''];
    for (const send of Object.values(TRANSPORTS)) {
      const nothing = noThings()[kind];
      const ofNothing = without(await send(operation, nothing), nothing);
      expect(ofNothing).toMatch(/NotFoundError|NOT_FOUND|null|"totalCount":0|BAD_USER_INPUT/);
      for (const id of [others[kind], ...wrong])
        expect(without(await send(operation, id), id || '\0'), id).toBe(ofNothing);
    }
    expect(await contents()).toBe(before);
  },
);

/** Deletions last: the others need what they delete. */
const byHarm = [...operations].sort(
  (a, b) => Number(a.field.startsWith('delete')) - Number(b.field.startsWith('delete')),
);
/** Of an import's tasks, all are of the import and of its team: these say nothing further, and are not taken. */
const NOT_TAKEN = ['Import.tasks by filter.importId', 'Import.tasks by filter.teamId'];

test.each(byHarm.filter(({ name }) => !NOT_TAKEN.includes(name)))(
  '$name: the own id is found',
  async (operation) => {
    const kind = kindOf(operation);
    const nothing = noThings()[kind];
    const ofNothing = without(await overHttp(operation, nothing), nothing);
    const found = without(await overSocket(operation, own[kind]), own[kind]);
    expect(found).not.toMatch(
      /NotFoundError|NOT_FOUND|BAD_USER_INPUT|INTERNAL|"totalCount":0|^\{"data":\{"\w+":null\}\}/,
    );
    expect(`200 ${found}`).not.toBe(ofNothing);
  },
);

/** What is stored, but for what comes and goes by itself. */
async function contents(): Promise<string> {
  const tables = [
    'imports',
    'import_entries',
    'failed_files',
    'tasks',
    'videos',
    'indexes',
    'integrations',
    'teams',
    'idempotency_keys',
    'uploads',
    'upload_tokens',
  ];
  const sums = tables.map(
    (table) => `(select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from ${table} t)`,
  );
  const row = await rows.one<{ sums: string }>(`select concat_ws(' ', ${sums.join(', ')}) as sums`);
  return row.sums;
}
