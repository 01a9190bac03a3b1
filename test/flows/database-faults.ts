import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import { createTestClient, type TestClient } from '../support/client.ts';
import { graphql } from '../support/graphql.ts';
import { finishDeletions } from '../support/oracle/deletions.ts';
import { checkOracle, installOracle } from '../support/oracle.ts';
import { type PacedOrigin, startPacedOrigin } from '../support/paced-origin.ts';
import { runSluice, type SluiceProcess } from '../support/process.ts';
import { openRows, type Rows } from '../support/rows.ts';
import { serverSettings, TEST_KEY } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { makeContents } from './file-origin.ts';
import { PROGRESS } from './live.ts';

const START = graphql(`
  mutation FaultyStart($input: StartImportInput!) {
    startImport(input: $input) { __typename ... on StartImportSuccess { import { id } } }
  }
`);
const RECONNECT_MS = 200;
const START_MS = 90_000;

export type Settings = Readonly<Record<string, string>>;

/** A server as a process, and what a client does with it. */
export interface FaultyServer {
  readonly process: SluiceProcess;
  readonly url: string;
  readonly client: TestClient;
  /** What /health/ready says; null when nothing answers. */
  ready(): Promise<{ readonly status: number; readonly text: string } | null>;
  /** How often a text is in its log. */
  said(text: string): number;
}

/** A process of the program over a database that fails; its storage is the data folder. */
export async function startProcess(
  { role = 'all', dataDir, ...settings }: Settings & { readonly role?: string; readonly dataDir: string },
  databaseUrl: string,
): Promise<FaultyServer> {
  const process = runSluice(
    serverSettings({
      databaseUrl,
      dataDir,
      // What it says at its start is waited for.
      SLUICE_LOG_LEVEL: 'info',
      SLUICE_TRANSFER_CONCURRENCY: '4',
      SLUICE_HEALTH_PORT: '0',
      ...settings,
    }),
    [role],
  );
  let ended = false;
  void process.ended.then(() => {
    ended = true;
  });
  const told = role === 'worker' ? 'health and metrics are told' : 'Sluice is ready';
  const url = await waitFor(
    async () => {
      if (ended) throw new Error(`the server ended: ${process.stderr()}`);
      const found = new RegExp(`"url":"([^"]+)","msg":"${told}"`).exec(process.stderr())?.[1];
      return found !== undefined && (await fetch(`${found}/health/ready`)).ok && found;
    },
    { timeout: START_MS, what: 'the server' },
  );
  return {
    process,
    url,
    client: createTestClient({ url, key: TEST_KEY }),
    ready: () =>
      fetch(`${url}/health/ready`).then(
        async (response) => ({ status: response.status, text: await response.text() }),
        () => null,
      ),
    said: (text) => process.stderr().split(text).length - 1,
  };
}

/** Stops a server; nothing that happened to it was a fault of the program. */
export async function endProcess({ process }: FaultyServer): Promise<void> {
  const { code, stderr } = await process.end('SIGTERM');
  expect(stderr).not.toMatch(/"level":[56]0/);
  expect(code).toBe(0);
}

/** Small clips, each of bytes of its own, that take some time to be fetched. */
export interface Clips {
  readonly origin: PacedOrigin;
  readonly names: readonly string[];
}

/** Serves clips. @param seconds that each takes */
export async function serveClips(count: number, seconds: number): Promise<Clips> {
  const freshContent = await makeContents();
  const names = Array.from({ length: count }, (_, index) => `clip-${index}`);
  const files = new Map(names.map((name) => [name, freshContent()]));
  const bytes = Math.max(...[...files.values()].map(({ length }) => length));
  const origin = await startPacedOrigin(files, bytes / seconds);
  onTestFinished(() => origin.close());
  return { origin, names };
}

/** An import under way, with a subscriber that comes again whenever its stream has ended. */
export interface FaultyImport {
  readonly id: string;
  /** What the subscriber knows of each task. */
  readonly statuses: ReadonlyMap<string, string>;
  /** How many of the tasks the subscriber knows to be READY. */
  known(): number;
  /** Whether the subscriber was told the end. */
  isOver(): boolean;
  /** How often it had to come again. */
  reconnects(): number;
}

/** Starts an import of clips. */
export async function importClips(
  client: TestClient,
  { origin, names }: Clips,
  systemName = 'dam',
): Promise<FaultyImport> {
  const videos = names.map((name) => ({
    externalId: name,
    url: origin.url(name),
    fileName: `${name}.mp4`,
  }));
  const { startImport } = await client.query(START, {
    input: { from: { videos: { systemName, videos } } },
  });
  if (startImport.__typename !== 'StartImportSuccess') throw new Error(startImport.__typename);
  return watchImport(client, startImport.import.id);
}

/** Follows an import as a client does that only knows to come again with the last cursor. */
function watchImport(client: TestClient, id: string): FaultyImport {
  const statuses = new Map<string, string>();
  let [isOver, isGone, connects] = [false, false, 0];
  let after: string | null = null;
  const watch = async (): Promise<void> => {
    connects += 1;
    for await (const { importProgress: event } of client.overWebSocket(PROGRESS, { id, after })) {
      if (isGone) return;
      after = event.cursor;
      for (const task of event.changed) statuses.set(task.id, task.status);
      if (event.import.finished) isOver = true;
    }
  };
  const follow = async (): Promise<void> => {
    while (!isOver && !isGone) {
      await watch().catch(() => {});
      if (!isOver) await sleep(RECONNECT_MS);
    }
  };
  void follow();
  onTestFinished(() => {
    isGone = true;
  });
  return {
    id,
    statuses,
    known: () => [...statuses.values()].filter((status) => status === 'READY').length,
    isOver: () => isOver,
    reconnects: () => connects - 1,
  };
}

/** Waits until the subscriber knows so many tasks to be READY. */
export const untilKnown = (followed: FaultyImport, count: number, timeout = 60_000) =>
  waitFor(() => followed.known() >= count, { timeout, what: `${count} tasks that are known to be READY` });

/** Has the oracle watch a database. */
export async function watchDatabase(databaseUrl: string): Promise<void> {
  await installOracle(databaseUrl);
}

/** Waits for the end of an import: each of its videos came in once, and its subscriber knows it. */
export async function expectEnd(
  followed: FaultyImport,
  expected: {
    readonly clips: number;
    readonly databaseUrl: string;
    readonly dataDir: string;
    /** Imports that were started beside it. */
    readonly others?: readonly string[];
  },
): Promise<void> {
  const { clips, databaseUrl, dataDir, others = [] } = expected;
  await waitFor(followed.isOver, { timeout: 90_000, what: 'the end of the import' });
  expect([...followed.statuses.values()]).toEqual(Array.from({ length: clips }, () => 'READY'));
  await finishDeletions(databaseUrl);
  const accepted = { imports: [followed.id, ...others] };
  expect(await checkOracle({ databaseUrl, storage: `${dataDir}/media`, accepted })).toEqual([]);
  const rows = await openRows(databaseUrl);
  expect(
    await rows.one('select state, finished_at is not null as over from imports where id = $1', [
      followed.id.slice('imp_'.length),
    ]),
  ).toEqual({
    state: 'SUCCEEDED',
    over: true,
  });
  expect(await rows.count('videos')).toBe(clips);
  await rows.close();
}

/** Ends the sessions of our processes in a database. @returns how many */
export async function terminate(rows: Rows, applicationName = 'sluice %'): Promise<number> {
  const ended = await rows.all(
    `select pg_terminate_backend(pid) from pg_stat_activity
      where application_name like $1 and datname = current_database() and pid <> pg_backend_pid()`,
    [applicationName],
  );
  return ended.length;
}

/** A raw answer to a request of the API, with how long it took, in milliseconds. */
export async function ask(url: string, query: string) {
  const begun = performance.now();
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json',
      authorization: `Bearer ${TEST_KEY}`,
    },
    body: JSON.stringify({ query }),
  });
  const text = await response.text();
  return {
    status: response.status,
    retryAfter: response.headers.get('retry-after'),
    text,
    ms: performance.now() - begun,
  };
}
