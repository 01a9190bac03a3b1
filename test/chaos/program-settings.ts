import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { SMALL_REQUIREMENTS } from './small-videos.ts';

/** The ADMIN key of every installation. */
export const CHAOS_KEY = `slc_${'c'.repeat(43)}`;

/** Where a process is at home. */
export interface Home {
  readonly databaseUrl: string;
  /** Of all processes together; the bytes are in `media` below it. */
  readonly folder: string;
  readonly settings?: Readonly<Record<string, string>>;
}

/**
 * The environment of one process among several over one database and one storage, with short times, so that faults show soon.
 * @param name says who it is with every statement, so that the database knows what it has done
 */
export function programSettings({
  databaseUrl,
  folder,
  settings,
  name,
  dataDir,
}: Home & { readonly name: string; readonly dataDir: string }): Readonly<Record<string, string>> {
  const url = new URL(databaseUrl);
  url.searchParams.set('application_name', name);
  return {
    PORT: '0',
    DATABASE_URL: url.href,
    SLUICE_DATA_DIR: dataDir,
    SLUICE_STORAGE_URL: pathToFileURL(join(folder, 'media')).href,
    SLUICE_SECRET_KEY: Buffer.alloc(32, 7).toString('base64'),
    SLUICE_API_KEY: CHAOS_KEY,
    SLUICE_ALLOW_ADDRESSES: '127.0.0.1/32',
    SLUICE_REQUIREMENTS: SMALL_REQUIREMENTS,
    SLUICE_PRODUCTION: '0',
    SLUICE_PLAN_SECONDS: '1',
    SLUICE_LEASE_SECONDS: '3',
    SLUICE_SWEEP_SECONDS: '1',
    SLUICE_RETRY_BASE_SECONDS: '0.2',
    SLUICE_PROBE_CHILDREN: '1',
    ...settings,
  };
}
