import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import type { ProductWork } from '../../src/jobs/handlers/deps.ts';
import { createTestClient, type TestClient } from '../support/client.ts';
import { createTestDatabase } from '../support/database.ts';
import { finishDeletions } from '../support/oracle/deletions.ts';
import { startSampler } from '../support/oracle/sampler.ts';
import { checkOracle, installOracle } from '../support/oracle.ts';
import { openRows, type Rows } from '../support/rows.ts';
import { serverSettings, TEST_KEY } from '../support/server.ts';
import { type Canceler, createCanceler } from './cancel-retry.ts';
import { type FileOrigin, makeContents, startFileOrigin } from './file-origin.ts';

/** Servers on one database and one storage, an origin, and an oracle that sees all that they do. */
export interface ProvingGround {
  readonly rows: Rows;
  readonly databaseUrl: string;
  readonly origin: FileOrigin;
  /** Bytes of a sound video, others each time. */
  readonly freshContent: () => Buffer;
  /** Of the first server. */
  readonly url: string;
  /** Of the last server. */
  readonly otherUrl: string;
  readonly client: TestClient;
  readonly canceler: Canceler;
  /** Of each server. */
  readonly cancelers: readonly Canceler[];
  /** The folder of its objects. */
  readonly storage: string;
  /** Lets the job of a task go on that is stuck in PENDING or QUEUED. */
  release(taskId: string): Promise<void>;
  /** Notes what a client was told of past the cancelers. */
  told(kind: 'imports' | 'tasks' | 'deletedVideos', id: string): void;
  /** Runs something while counts are sampled; when all has ended and is deleted that was to be, the oracle must be green. */
  prove(work: () => Promise<void>, options?: ProveOptions): Promise<void>;
  /** In the middle of that: all has ended for now, though not all is deleted that is to be. */
  expectGreenSoFar(): Promise<void>;
  stop(): Promise<void>;
}

/** How much is proved. */
export interface ProveOptions {
  /** Whether a later proof waits for all deletions, which takes seconds, and looks at what is left. */
  readonly isOneOfMany?: boolean;
}

/** Starts one; the servers run in this process. */
export async function startProvingGround({
  servers = 1,
  settings = {},
  work,
}: {
  readonly servers?: number;
  /** Media work in place of the real one. */
  readonly work?: ProductWork;
  readonly settings?: Readonly<Record<string, string>>;
} = {}): Promise<ProvingGround> {
  const database = await createTestDatabase();
  const databaseUrl = database.url;
  const dataDir = await mkdtemp(join(tmpdir(), 'sluice-proof-'));
  const config = readConfig(
    serverSettings({
      databaseUrl,
      dataDir,
      SLUICE_PLAN_SECONDS: '20',
      SLUICE_INDEX_CONCURRENCY: '4',
      SLUICE_LOG_LEVEL: 'fatal', // Claims that are over are what is looked for.
      ...settings,
    }),
  );
  const storage = join(dataDir, 'media');
  const apps: App[] = [];
  for (let count = 0; count < servers; count += 1)
    apps.push(await startApp(config, pino({ level: 'fatal' }), work ? { work } : {}));
  const rows = await openRows(databaseUrl);
  await installOracle(databaseUrl);
  const accepted = { imports: [] as string[], tasks: [] as string[], deletedVideos: [] as string[] };
  const told = (kind: keyof typeof accepted, id: string) => void accepted[kind].push(id);
  const clients = apps.map(({ url }) => createTestClient({ url, key: TEST_KEY }));
  const cancelers = clients.map((client) => createCanceler(client, told));
  const [app] = apps;
  const [client] = clients;
  const [canceler] = cancelers;
  if (app === undefined || client === undefined || canceler === undefined)
    throw new Error('there is no server');
  const [freshContent, origin] = [await makeContents(), await startFileOrigin()];
  return {
    rows,
    databaseUrl,
    origin,
    freshContent,
    url: app.url,
    otherUrl: apps.at(-1)?.url ?? app.url,
    client,
    canceler,
    cancelers,
    told,
    storage,
    async release(taskId) {
      await rows.all('update jobs set run_at = now() where subject_id = $1', [taskId.slice('task_'.length)]);
    },
    async expectGreenSoFar() {
      expect(await checkOracle({ databaseUrl, accepted })).toEqual([]);
    },
    async prove(work, { isOneOfMany = false } = {}) {
      const sampler = await startSampler(databaseUrl, canceler.counts);
      try {
        await work();
      } catch (error) {
        await sampler.stop();
        throw error;
      }
      if (!isOneOfMany) await finishDeletions(databaseUrl);
      const objects = isOneOfMany ? {} : { storage };
      expect(await checkOracle({ databaseUrl, ...objects, accepted, sampler })).toEqual([]);
      expect(sampler.looks()).toBeGreaterThan(0);
    },
    async stop() {
      await rows.close();
      for (const running of apps) await running.stop();
      await origin.close();
      await database.drop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
