import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toPublicId } from '../../src/services/public-ids.ts';
import { firstTeam, insertFinishedImport, openRows, type Rows } from '../support/rows.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { follow, TRANSPORTS } from './live.ts';

let server: TestServer;
let rows: Rows;

beforeAll(async () => {
  server = await startTestServer();
  rows = await openRows(server.databaseUrl);
});

afterAll(async () => {
  await rows?.close();
  await server?.stop();
});

describe.each(TRANSPORTS)('over %s', (transport) => {
  test('who comes back with a cursor is told that planning is over, though no task has changed', async () => {
    const team = await firstTeam(rows, server.key);
    const importId = await insertFinishedImport(rows, team, { tasks: 2, videos: 0 });
    await rows.all(
      `update tasks set status = 'PENDING', outcome = null, finished_at = null, waiting_for = 'WORKER', fraction = 0
        where import_id = $1`,
      [importId],
    );
    await rows.all(
      `update imports set state = 'PLANNING', counts = null, started_at = null, finished_at = null where id = $1`,
      [importId],
    );
    const id = toPublicId('Import', importId);
    const known = await follow(server, { transport, id, until: () => true });
    expect(known.events).toMatchObject([{ snapshot: true, import: { state: 'PLANNING' } }]);
    expect(known.tasks.size).toBe(2);
    await rows.all(`update imports set state = 'STARTED', started_at = now() where id = $1`, [importId]);
    const after = known.events[0]?.cursor ?? null;
    await follow(server, { transport, id, after, known, until: () => true });
    expect(known.events[1]).toMatchObject({ snapshot: false, import: { state: 'STARTED' } });
  });
});
