import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { toPublicId } from '../../src/services/public-ids.ts';
import { hashApiKey } from '../../src/services/viewer.ts';
import { createTestClient } from '../support/client.ts';
import { insertFinishedImport, insertTeam, openRows, type Rows, type TeamRows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { FEED } from './feed.ts';
import { over, PROGRESS, TASK_PROGRESS, TRANSPORTS, type Transport } from './live.ts';

let server: TestServer;
let rows: Rows;
let kept: TeamRows;
let lost: TeamRows;

beforeAll(async () => {
  server = await startTestServer();
  rows = await openRows(server.databaseUrl);
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
});

/** An import that goes on, and its one task. */
async function insertRunning(
  team: TeamRows,
): Promise<{ readonly importId: string; readonly taskId: string }> {
  const importId = await insertFinishedImport(rows, team, { tasks: 1, videos: 0 });
  await rows.all(
    `update tasks set status = 'PENDING', outcome = null, finished_at = null, waiting_for = 'WORKER', fraction = 0
      where import_id = $1`,
    [importId],
  );
  await rows.all(`update imports set state = 'STARTED', counts = null, finished_at = null where id = $1`, [
    importId,
  ]);
  const { id } = await rows.one<{ id: string }>('select id from tasks where import_id = $1', [importId]);
  return { importId: toPublicId('Import', importId), taskId: toPublicId('Task', id) };
}

interface Watched {
  events: number;
  end: string | null;
}

/** Watches everything that there is of a team, until it ends. */
async function watchAll(key: string, team: TeamRows, transport: Transport): Promise<readonly Watched[]> {
  const client = createTestClient({ url: server.url, key });
  const { importId, taskId } = await insertRunning(team);
  const subscribe = over(client, transport);
  const streams = [
    subscribe(PROGRESS, { id: importId }),
    subscribe(TASK_PROGRESS, { id: taskId }),
    subscribe(FEED, { filter: { teamId: toPublicId('Team', team.teamId) } }),
  ];
  const watched = streams.map((): Watched => ({ events: 0, end: null }));
  for (const [at, stream] of streams.entries()) {
    const state = watched[at];
    if (!state) continue;
    void (async () => {
      for await (const _ of stream) state.events += 1;
    })().then(
      () => {
        state.end = 'complete';
      },
      (error: unknown) => {
        state.end = error instanceof Error ? error.message : JSON.stringify(error);
      },
    );
  }
  await waitFor(() => watched.every(({ events }) => events > 0), { what: 'the first events' });
  return watched;
}

const change = async ({ teamId }: TeamRows) => {
  await rows.all('update tasks set attempts = attempts + 1 where team_id = $1', [teamId]);
  for (const { import_id: importId } of await rows.all<{ import_id: string }>(
    'select distinct import_id from tasks where team_id = $1',
    [teamId],
  ))
    await rows.all(`select pg_notify('sluice_changes', $1)`, [`${teamId} ${importId}`]);
};

describe.each(TRANSPORTS)('over %s', (transport) => {
  test("a key that loses a team loses that team's subscriptions, as if nothing were there, and keeps the others", async () => {
    kept = await insertTeam(rows, 'kept');
    lost = await insertTeam(rows, 'lost');
    await rows.all(
      'insert into api_key_teams (api_key_id, team_id) select id, $2 from api_keys where hash = $1',
      [hashApiKey(kept.key), lost.teamId],
    );
    const staying = await watchAll(kept.key, kept, transport);
    const ending = await watchAll(kept.key, lost, transport);
    const strangers = await watchAll(lost.key, lost, transport);
    await rows.all(
      'delete from api_key_teams where team_id = $1 and api_key_id <> (select id from api_keys where hash = $2)',
      [lost.teamId, hashApiKey(lost.key)],
    );
    await waitFor(() => ending.every(({ end }) => end !== null), { what: 'the ends' });
    for (const { end } of ending) expect(end).toContain('NOT_FOUND');
    const told = ending.map(({ events }) => events);
    const others = [...staying, ...strangers];
    const before = others.map(({ events }) => events);
    await change(kept);
    await change(lost);
    await waitFor(() => others.every(({ events }, at) => events > (before[at] ?? 0)), {
      what: 'the changes',
    });
    expect(ending.map(({ events }) => events)).toEqual(told);
    expect(others.map(({ end }) => end)).toEqual(Array(6).fill(null));
  });
});

test.each([
  ['revoked', 'update api_keys set revoked_at = now() where hash = $1'],
  ['past its expiry', `update api_keys set expires_at = now() + interval '1 second' where hash = $1`],
])('a key that is %s closes its sockets with 4403, and ends its streams', async (_, statement) => {
  const team = await insertTeam(rows, 'short');
  const ending = await watchAll(team.key, team, 'server-sent events');
  let closed: unknown;
  const client = createClient({
    url: `${server.url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${team.key}` },
    lazy: false,
    retryAttempts: 0,
    onNonLazyError: () => {},
    on: {
      closed: (event) => {
        closed = (event as { code?: unknown }).code; // a CloseEvent, as the library documents
      },
    },
  });
  const { importId } = await insertRunning(team);
  const events: unknown[] = [];
  client.subscribe(
    { query: `subscription { importProgress(id: "${importId}") { cursor } }` },
    { next: (value) => events.push(value), error: () => {}, complete: () => {} },
  );
  await waitFor(() => events.length > 0, { what: 'the first event' });
  await rows.all(statement, [hashApiKey(team.key)]);
  await waitFor(() => closed !== undefined && ending.every(({ end }) => end !== null), {
    what: 'the ends',
  });
  expect(closed).toBe(4403);
  for (const { end } of ending) expect(end).toContain('ended without a complete event');
  await client.dispose();
});
