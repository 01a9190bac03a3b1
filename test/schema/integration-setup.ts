import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { firstTeam, insertTeam, openRows, type Rows, type TeamRows } from '../support/rows.ts';
import { type S3Double, startS3 } from '../support/s3.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { createIntegrationClient, type IntegrationClient } from './integration-client.ts';

/** A server with a store and folders to set integrations up for. */
export interface IntegrationTest {
  readonly server: TestServer;
  readonly client: IntegrationClient;
  readonly rows: Rows;
  readonly s3: S3Double;
  /** Has `allowed/videos`, which may be read, and `elsewhere`, which may not. */
  readonly root: string;
  readonly team: TeamRows;
  readonly other: TeamRows;
  /** S3Input for a private bucket of the store, with credentials. */
  bucket(changes?: object): object;
  /** CreateIntegrationInput for the same. */
  clips(changes?: object): object;
  /** CreateIntegrationInput for a folder. */
  folder(path: string): object;
  /** Creates an integration. @returns its id */
  created(input: object): Promise<string>;
  /** Makes an import of an integration that has not finished, and no job that could end it. */
  runningImport(
    integration: string,
    source?: 'INTEGRATION' | 'OBJECTS',
  ): Promise<{ readonly id: string; readonly publicId: string }>;
  /** Removes all integrations and imports, and forgets the requests that the store has seen. */
  clear(): Promise<void>;
  stop(): Promise<void>;
}

/** The id of the row behind a public one. */
export const rowId = (publicId: string) => publicId.slice(publicId.indexOf('_') + 1);

/** Starts all of it; the buckets are clips and more-clips, the public one `open`, and `far` in another region. */
export async function startIntegrationTest(): Promise<IntegrationTest> {
  const s3 = await startS3();
  for (const name of ['clips', 'more-clips']) s3.createBucket(name);
  s3.createBucket('open', { public: true });
  s3.createBucket('far', { region: 'eu-west-1' });
  const root = await realpath(await mkdtemp(join(tmpdir(), 'sluice-integrations-')));
  await mkdir(join(root, 'allowed', 'videos'), { recursive: true });
  await mkdir(join(root, 'elsewhere'));
  const server = await startTestServer({ SLUICE_ALLOW_FOLDERS: join(root, 'allowed') });
  const client = createIntegrationClient(server);
  const rows = await openRows(server.databaseUrl);
  const team = await firstTeam(rows, server.key);
  const { endpoint, accessKeyId, secretAccessKey } = s3;
  const credentials = { accessKeyId, secretAccessKey };
  const bucket = (changes: object = {}) => ({
    ...{ bucket: 'clips', endpoint, forcePathStyle: true, credentials },
    ...changes,
  });
  return {
    ...{ server, client, rows, s3, root, team, bucket },
    other: await insertTeam(rows, 'Other team'),
    clips: (changes) => ({ name: 'Clips', location: { s3: bucket(changes) } }),
    folder: (path) => ({ name: 'Videos', location: { folder: { path } } }),
    async created(input) {
      const { integration } = await client.create(input);
      if (!integration) throw new Error('it was not created');
      return integration.id;
    },
    async runningImport(integration, source = 'INTEGRATION') {
      const id = randomUUID();
      await rows.all(
        `insert into imports (id, team_id, index_id, source, integration_id, incremental) values ($1, $2, $3, $4, $5, true)`,
        [id, team.teamId, team.indexId, source, rowId(integration)],
      );
      return { id, publicId: `imp_${id}` };
    },
    async clear() {
      await rows.all('delete from imports');
      await rows.all('delete from integrations');
      s3.requests.length = 0;
    },
    async stop() {
      await rows.close();
      await server.stop();
      await s3.stop();
      await rm(root, { recursive: true, force: true });
    },
  };
}
