import { expect, onTestFinished, test } from 'vitest';
import { createTestClient } from '../support/client.ts';
import { createTestDatabase } from '../support/database.ts';
import { createDataDir, startServer } from '../support/process.ts';
import { firstTeam, openRows } from '../support/rows.ts';
import { serverSettings, TEST_KEY } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { followFeed, type KnownFeed, noTasks } from './feed.ts';
import { insertLargeImport } from './large-imports.ts';
import { TRANSPORTS } from './live.ts';
import { openSlowReader } from './slow-reader.ts';

/** LIVE_READERS=50: so many who read, and as many who do not. */
const READERS = Number(process.env.LIVE_READERS ?? 2);
const TASKS = 30;
const TEXT = 'x'.repeat(16_000);
/** All that there is to tell: several times what the kernel keeps for a connection. */
const ROUNDS = 30;
const MEGABYTE = 1024 ** 2;

interface Told {
  readonly tasksChanged: {
    readonly changed: readonly { readonly id: string; readonly attempts: number }[];
  };
}

test(
  `${READERS} who do not read beside ${READERS} who do: nothing piles up, who reads gets everything, and the others the latest`,
  async () => {
    const database = await createTestDatabase();
    onTestFinished(() => database.drop());
    const dataDir = await createDataDir();
    const settings = { databaseUrl: database.url, dataDir, SLUICE_SOCKETS_PER_KEY: '500' };
    const server = await startServer(serverSettings({ ...settings, SLUICE_LOG_LEVEL: 'info' }));
    const rows = await openRows(database.url);
    onTestFinished(() => rows.close());
    const team = await firstTeam(rows, TEST_KEY);
    await insertLargeImport(rows, team, { tasks: TASKS, status: 'PENDING' });
    await rows.all('update tasks set metadata = $1', [{ text: TEXT }]);
    const memory = async () => {
      const text = await (await fetch(`${server.url}/metrics`)).text();
      return Number(/^process_resident_memory_bytes (\S+)$/m.exec(text)?.[1]) / MEGABYTE;
    };
    const known = Array.from({ length: READERS }, noTasks);
    const isLast = (data: unknown) =>
      (data as Told).tasksChanged.changed.some(({ attempts }) => attempts === ROUNDS);
    const stalled = await Promise.all(
      known.map((_, at) =>
        openSlowReader({
          url: server.url,
          key: TEST_KEY,
          transport: TRANSPORTS[at % 2] ?? 'WebSocket',
          query: 'subscription { tasksChanged { changed { id attempts metadata } } }',
          isLast,
        }),
      ),
    );
    const hasAll = (of: KnownFeed, round: number) =>
      of.tasks.size === TASKS && [...of.tasks.values()].every(({ attempts }) => attempts === round);
    const client = createTestClient({ url: server.url, key: TEST_KEY });
    const reading = known.map((own, at) =>
      followFeed(client, {
        transport: TRANSPORTS[at % 2] ?? 'WebSocket',
        known: own,
        until: (of) => hasAll(of, ROUNDS),
      }),
    );
    await waitFor(() => known.every(({ events }) => events.length === 1), { what: 'the beginnings' });
    const before = await memory();
    let most = before;
    for (let round = 1; round <= ROUNDS; round += 1) {
      await rows.all('update tasks set attempts = $1', [round]);
      await rows.all(`select pg_notify('sluice_changes', $1)`, [`${team.teamId} -`]);
      // Nobody who reads waits for those who do not.
      await waitFor(() => known.every((own) => hasAll(own, round)), { what: `round ${round}` });
      most = Math.max(most, await memory());
    }
    await Promise.all(reading);
    const ends = await Promise.all(stalled.map(({ readOn }) => readOn()));
    console.info(
      `${before.toFixed()} to ${most.toFixed()} MB; bytes of each: ${ends.map(({ bytes }) => bytes).join(' ')}`,
    );
    for (const { events, bytes, isClosed } of ends) {
      expect(bytes).toBeLessThan(ROUNDS * TASKS * TEXT.length * 0.75);
      if (isClosed) continue;
      const last = new Map(
        (events as Told[]).flatMap(({ tasksChanged }) => tasksChanged.changed.map((task) => [task.id, task])),
      );
      expect(last.size).toBe(TASKS);
      expect([...last.values()].every(({ attempts }) => attempts === ROUNDS)).toBe(true);
    }
    // A page for each, and what a garbage collector takes its time with; all that was told is READERS times 14 MB.
    expect(most - before).toBeLessThan(150 + 2 * READERS);
    await server.end('SIGTERM');
  },
  180_000 + READERS * 10_000,
);
