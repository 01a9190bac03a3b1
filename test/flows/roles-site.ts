import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { onTestFinished } from 'vitest';
import { createTestClient, type TestClient } from '../support/client.ts';
import { createTestDatabase } from '../support/database.ts';
import { createDataDir, type RunningServer, runSluice } from '../support/process.ts';
import { openRows, type Rows } from '../support/rows.ts';
import { serverSettings, TEST_KEY } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

/** A process with one role; its URL is that of the API, or of a worker's health port. */
export interface RoleProcess extends RunningServer {
  health(state: 'live' | 'ready'): Promise<{ readonly status: number; readonly body: unknown }>;
  /** The values of a metric by the labels that they have, as they are written. */
  metric(name: string): Promise<Readonly<Record<string, number>>>;
}

/** One database and one storage for any number of processes. */
export interface Site {
  readonly databaseUrl: string;
  readonly rows: Rows;
  readonly settings: Readonly<Record<string, string>>;
  /** Starts a process and waits until it is ready. */
  start(
    role: 'all' | 'api' | 'worker',
    settings?: Readonly<Record<string, string>>,
  ): Promise<RoleProcess & { readonly client: TestClient }>;
}

/** Makes a site for one test, on a new database unless the URL of one is given. */
export async function createSite(
  changes: Readonly<Record<string, string>> = {},
  givenUrl?: string,
): Promise<Site> {
  const databaseUrl = givenUrl ?? (await createOwnDatabase());
  const rows = await openRows(databaseUrl);
  onTestFinished(() => rows.close());
  const dataDir = await createDataDir();
  const settings = {
    ...serverSettings({ databaseUrl, dataDir }),
    SLUICE_STORAGE_URL: pathToFileURL(join(dataDir, 'storage')).href,
    SLUICE_HEALTH_PORT: '0',
    // Nothing here is to be found out by a lease that runs out.
    SLUICE_LEASE_SECONDS: '30',
    SLUICE_LOG_LEVEL: 'info',
    ...changes,
  };
  return {
    databaseUrl,
    rows,
    settings,
    async start(role, more = {}) {
      const started = await startRole(role, { ...settings, SLUICE_DATA_DIR: await createDataDir(), ...more });
      return { ...started, client: createTestClient({ url: started.url, key: TEST_KEY }) };
    },
  };
}

async function createOwnDatabase(): Promise<string> {
  const database = await createTestDatabase();
  onTestFinished(() => database.drop());
  return database.url;
}

/** Starts a process and waits until it is ready. */
export async function startRole(
  role: 'all' | 'api' | 'worker',
  settings: Readonly<Record<string, string>>,
): Promise<RoleProcess> {
  const started = runSluice(settings, [role]);
  let ended = false;
  void started.ended.then(() => {
    ended = true;
  });
  const said = role === 'worker' ? 'health and metrics are told' : 'Sluice is ready';
  const health = async (url: string, state: string) => {
    const response = await fetch(`${url}/health/${state}`);
    return { status: response.status, body: await response.json() };
  };
  const url = await waitFor(
    async () => {
      if (ended) throw new Error(`the process ended: ${started.stderr()}`);
      const found = new RegExp(`"url":"([^"]+)","msg":"${said}"`).exec(started.stderr())?.[1];
      return found !== undefined && (await health(found, 'ready')).status === 200 && found;
    },
    { timeout: 60_000, what: `the ${role}` },
  );
  return {
    ...started,
    url,
    health: (state) => health(url, state),
    async metric(name) {
      const response = await fetch(`${url}/metrics`);
      if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
      return valuesOf(await response.text(), name);
    },
  };
}

/** The values of a metric in a text for Prometheus, by what is in the braces. */
export function valuesOf(text: string, name: string): Readonly<Record<string, number>> {
  const lines = text.matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? (\\S+)$`, 'gm'));
  return Object.fromEntries([...lines].map(([, labels = '', value]) => [labels, Number(value)]));
}
