import { expect } from 'vitest';
import { processStart } from '../../src/db/embedded/processes.ts';
import { createTestClient, type TestClient } from './client.ts';
import {
  aliveOf,
  createDataDir,
  descendantsOf,
  type Ended,
  findEmbeddedDatabase,
  type KnownProcess,
  type RunningServer,
  startServer,
} from './process.ts';
import { TEST_KEY } from './server.ts';
import { waitFor } from './wait.ts';

/** A server with its own database, to be started again and again on the same data. */
export interface Installation {
  readonly dataDir: string;
  /** Every process that a server of it has started, but for those of the database. */
  readonly media: readonly KnownProcess[];
  /** The servers themselves and those of the database, too. */
  readonly all: readonly KnownProcess[];
  start(): Promise<{ readonly server: RunningServer; readonly client: TestClient }>;
  /** Notes what a server has started, and ends it; a server that is killed is frozen at once, and does nothing meanwhile. */
  end(server: RunningServer, signal: 'SIGTERM' | 'SIGKILL'): Promise<Omit<Ended, 'stderr'>>;
}

/** Makes an installation of its own in a data folder of its own, with short times unless `changes` has others, for one test. */
export async function createInstallation(
  changes: Readonly<Record<string, string>> = {},
): Promise<Installation> {
  const dataDir = await createDataDir();
  const settings = {
    PORT: '0',
    SLUICE_DATA_DIR: dataDir,
    SLUICE_API_KEY: TEST_KEY,
    SLUICE_ALLOW_ADDRESSES: '127.0.0.1/32',
    SLUICE_PLAN_SECONDS: '1',
    SLUICE_LEASE_SECONDS: '3',
    SLUICE_SWEEP_SECONDS: '0.5',
    SLUICE_GRACE_SECONDS: '1',
    SLUICE_RETRY_BASE_SECONDS: '0.2',
    SLUICE_TRANSFER_CONCURRENCY: '4',
    ...changes,
  };
  const media: KnownProcess[] = [];
  const all: KnownProcess[] = [];
  return {
    dataDir,
    media,
    all,
    async start() {
      const server = await startServer(settings);
      return { server, client: createTestClient({ url: server.url, key: TEST_KEY }) };
    },
    async end(server, signal) {
      if (signal === 'SIGKILL') process.kill(server.pid, 'SIGSTOP');
      const database = await familyOf((await findEmbeddedDatabase(dataDir)).pid);
      const own = await familyOf(server.pid);
      const isDatabase = ({ pid }: KnownProcess) => database.some((one) => one.pid === pid);
      media.push(...own.filter((one) => one.pid !== server.pid && !isDatabase(one)));
      all.push(...own, ...database);
      const { stderr, ...ended } = await server.end(signal);
      expect(stderr).not.toMatch(/"level":[56]0/);
      return ended;
    },
  };
}

async function familyOf(pid: number): Promise<readonly KnownProcess[]> {
  const started = await processStart(pid);
  return [...(started === undefined ? [] : [{ pid, started }]), ...(await descendantsOf(pid))];
}

/** Waits until all of the processes have ended. */
export const gone = (processes: readonly KnownProcess[], what: string) =>
  waitFor(async () => (await aliveOf(processes)).length === 0, { what });
