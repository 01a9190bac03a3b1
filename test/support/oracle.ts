import pg from 'pg';
import { installAudit, readChanges, readFaults } from './oracle/audit.ts';
import { objectFaults, objectsIn, type StoredObjects } from './oracle/objects.ts';
import { endFaults, pathFaults } from './oracle/paths.ts';
import { type Accepted, acceptedFaults, rowFaults } from './oracle/rows.ts';
import type { Sampler } from './oracle/sampler.ts';

/** What an oracle looks at. */
export interface OracleOptions {
  readonly databaseUrl: string;
  /** The folder of the objects, or how else to look at them; left out, nothing is said of them. */
  readonly storage?: string | StoredObjects;
  /** What clients were told. */
  readonly accepted?: Accepted;
  /** Is stopped, and what it saw counts. */
  readonly sampler?: Sampler;
}

/**
 * Has a database note what happens in it, from now on. Plain SQL that knows the tables and the promises, and nothing of the
 * code that is to keep them.
 */
export function installOracle(databaseUrl: string): Promise<void> {
  return withClient(databaseUrl, installAudit);
}

/**
 * Says what is wrong with an installation where everything has ended, deletions too, and what was wrong on its way there.
 * @returns a sentence for each, beginning with what it is about; none when all promises were kept
 */
export async function checkOracle(options: OracleOptions): Promise<readonly string[]> {
  const { databaseUrl, storage, accepted = {}, sampler } = options;
  const sampled = (await sampler?.stop()) ?? [];
  return await withClient(databaseUrl, async (client) => {
    const changes = await readChanges(client);
    return [
      ...(await readFaults(client)),
      ...pathFaults(changes),
      ...endFaults(changes),
      ...(await rowFaults(client, accepted)),
      ...(await acceptedFaults(client, accepted)),
      ...(storage === undefined
        ? []
        : await objectFaults(client, typeof storage === 'string' ? objectsIn(storage) : storage)),
      ...sampled,
    ];
  });
}

async function withClient<T>(databaseUrl: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
