import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { createIntegrationClient, type IntegrationClient } from '../schema/integration-client.ts';
import { createTestDatabase } from '../support/database.ts';
import { openRows, type Rows } from '../support/rows.ts';
import { type S3Double, startS3 } from '../support/s3.ts';
import { serverSettings, TEST_KEY } from '../support/server.ts';

/** A server whose log is kept. */
export interface SecretServer extends IntegrationClient {
  log(): string;
  stop(): Promise<void>;
}

/** One database and store, for servers that come and go. */
export interface SecretServers {
  readonly databaseUrl: string;
  readonly dataDir: string;
  readonly rows: Rows;
  readonly s3: S3Double;
  /** S3Input for a private bucket of the store. */
  bucket(changes?: object): object;
  /** Starts a server in this process; it is stopped after the test at the latest. */
  start(settings: Readonly<Record<string, string>>): Promise<SecretServer>;
  /** Has a server with this secret store an integration with credentials. @returns its public id */
  createWith(secret: Buffer): Promise<string>;
}

/** Makes them for one test. */
export async function createSecretServers(): Promise<SecretServers> {
  const s3 = await startS3();
  s3.createBucket('clips');
  const database = await createTestDatabase();
  const rows = await openRows(database.url);
  const dataDir = await mkdtemp(join(tmpdir(), 'sluice-secrets-'));
  onTestFinished(async () => {
    await rows.close();
    await database.drop();
    await s3.stop();
    await rm(dataDir, { recursive: true, force: true });
  });
  const { endpoint, accessKeyId, secretAccessKey } = s3;
  const bucket = (changes: object = {}) => ({
    ...{ bucket: 'clips', endpoint, forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } },
    ...changes,
  });
  const start: SecretServers['start'] = async (settings) => {
    const said: string[] = [];
    const sink = new Writable({
      write(chunk, _encoding, done) {
        said.push(String(chunk));
        done();
      },
    });
    const config = readConfig(serverSettings({ databaseUrl: database.url, dataDir, ...settings }));
    const app = await startApp(config, pino({ level: config.logLevel }, sink));
    let stopped: Promise<void> | undefined;
    const stop = () => {
      stopped ??= app.stop();
      return stopped;
    };
    onTestFinished(stop);
    return { ...createIntegrationClient({ url: app.url, key: TEST_KEY }), stop, log: () => said.join('') };
  };
  return {
    ...{ databaseUrl: database.url, dataDir, rows, s3, bucket, start },
    async createWith(secret) {
      const server = await start({ SLUICE_SECRET_KEY: secret.toString('base64') });
      const { integration } = await server.create({ name: 'Clips', location: { s3: bucket() } });
      await server.stop();
      return integration?.id ?? '';
    },
  };
}
