import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { box } from '../media/support/mp4-surgery.ts';
import { openRows, type Rows } from '../support/rows.ts';
import { startS3 } from '../support/s3.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { type FileOrigin, makeContents, startFileOrigin } from './file-origin.ts';
import { createImporter, type ImportState } from './url-imports.ts';

const VIDEOS = 5;
const VIDEO_BYTES = 20_000_000;
/** How long the storage is left alone once it was full. */
const PAUSE_SECONDS = '1';

interface Volume {
  readonly root: string;
  grow(): void;
  remove(): void;
}

/** A volume of 64 MB; null where none can be made, as it takes the rights of root. */
function makeVolume(): Volume | null {
  const root = mkdtempSync(join(tmpdir(), 'sluice-volume-'));
  const mount = (...args: string[]) => execFileSync('mount', args, { stdio: 'ignore' });
  try {
    mount('-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', root);
  } catch {
    rmSync(root, { recursive: true });
    return null;
  }
  return {
    root,
    grow: () => mount('-o', 'remount,size=256m', root),
    remove() {
      execFileSync('umount', [root]);
      rmSync(root, { recursive: true });
    },
  };
}

const volume = makeVolume();
let origin: FileOrigin;
let urls: readonly string[];

beforeAll(async () => {
  origin = await startFileOrigin();
  const freshContent = await makeContents();
  urls = Array.from({ length: VIDEOS }, (_, n) => {
    const clip = freshContent();
    const bytes = Buffer.concat([clip, box('free', Buffer.alloc(VIDEO_BYTES - clip.length, n))]);
    return origin.put({ bytes, etag: `"${n}"` });
  });
});

afterAll(async () => {
  await origin?.close();
  volume?.remove();
});

type Task = ImportState['tasks']['nodes'][number];
const isWaiting = ({ status, waitingFor, error }: Task): boolean =>
  status === 'PENDING' && waitingFor === 'STORAGE' && error?.code === 'STORAGE_FULL';

/** Of the tasks themselves: counts may be a second older. */
const readyOf = ({ tasks: { nodes } }: ImportState): number =>
  nodes.filter(({ status }) => status === 'READY').length;

/**
 * Imports all of the videos into a storage that has no room for them, and gives it room when those that are left have looked
 * several times.
 */
async function importInto(server: TestServer, makeRoom: () => void): Promise<void> {
  const rows = await openRows(server.databaseUrl);
  try {
    const importer = createImporter(server);
    const videos = urls.map((url, n) => ({ externalId: `video-${n}`, url }));
    const { id } = await importer.start({ systemName: 'dam', videos });
    // Every one of these questions to the API is answered.
    const settled = await importer.until(
      id,
      ({ tasks: { nodes } }) =>
        nodes.length === VIDEOS && nodes.every((task) => task.status === 'READY' || isWaiting(task)),
    );
    const ready = readyOf(settled);
    expect(ready).toBeGreaterThanOrEqual(2);
    expect(ready).toBeLessThan(VIDEOS);
    expect(settled.state).toBe('STARTED');
    for (const task of settled.tasks.nodes.filter(isWaiting)) expect(task.nextAttemptAt).not.toBeNull();

    const before = await claimsOf(rows);
    await waitFor(async () => (await claimsOf(rows)) >= before + 3, { what: 'further looks' });
    const later = await importer.until(id, ({ tasks: { nodes } }) => nodes.some(isWaiting));
    expect(readyOf(later)).toBe(ready);
    const failures = await rows.all<{ failures: number }>(
      `select failures from jobs where kind = 'transfer-video'`,
    );
    expect(failures.map((job) => job.failures)).toEqual(Array(VIDEOS - ready).fill(0));

    makeRoom();
    const ended = await importer.end(id);
    expect(ended.counts).toMatchObject({ found: VIDEOS, ready: VIDEOS });
    expect(ended.tasks.nodes.map(({ error }) => error)).toEqual(Array(VIDEOS).fill(null));
    await waitFor(async () => {
      const [found] = await rows.all(`select from jobs where kind = 'delete-objects' and run_at <= now()`);
      return found === undefined;
    });
  } finally {
    await rows.close();
  }
}

const claimsOf = async (rows: Rows): Promise<number> =>
  (
    await rows.one<{ n: number }>(
      `select coalesce(sum(claims), 0)::int as n from jobs where kind = 'transfer-video'`,
    )
  ).n;

/** The names of all files; undefined when a folder went while it was read. */
async function filesIn(folder: string): Promise<string[] | undefined> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    },
  );
  return entries?.filter((entry) => entry.isFile()).map(({ name }) => name);
}

test.skipIf(volume === null)(
  'a full volume makes tasks wait for room, at no cost, and they go on by themselves',
  { timeout: 180_000 },
  async () => {
    const { root, grow } = volume ?? expect.unreachable('skipped without a volume');
    const server = await startTestServer({
      SLUICE_STORAGE_URL: pathToFileURL(root).href,
      SLUICE_STORAGE_FULL_SECONDS: PAUSE_SECONDS,
    });
    try {
      await importInto(server, grow);
      await waitFor(async () => (await filesIn(root))?.length === VIDEOS, { what: 'what was begun to go' });
      expect(await filesIn(root)).toEqual(Array(VIDEOS).fill('original'));
    } finally {
      await server.stop();
    }
  },
);

test('a bucket without room does so too', { timeout: 180_000 }, async () => {
  const s3 = await startS3();
  s3.createBucket('media');
  vi.stubEnv('AWS_ACCESS_KEY_ID', s3.accessKeyId);
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', s3.secretAccessKey);
  let begun = 0;
  const endScript = s3.script(({ operation }) => {
    if (operation !== 'CreateMultipartUpload') return undefined;
    begun += 1;
    return begun > 3 ? { status: 507, code: 'XMinioStorageFull', message: 'Full.' } : undefined;
  });
  const endpoint = encodeURIComponent(s3.endpoint);
  const server = await startTestServer({
    SLUICE_STORAGE_URL: `s3://media?endpoint=${endpoint}&pathStyle=true`,
    SLUICE_STORAGE_FULL_SECONDS: PAUSE_SECONDS,
  });
  try {
    await importInto(server, endScript);
    await waitFor(() => s3.keys('media').length === VIDEOS && s3.uploads('media').length === 0, {
      what: 'what was begun to go',
    });
  } finally {
    await server.stop();
    vi.unstubAllEnvs();
    await s3.stop();
  }
});
