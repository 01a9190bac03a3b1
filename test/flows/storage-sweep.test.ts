import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { sweepStorage as definition, deleteObjects } from '../../src/jobs/definitions.ts';
import { createSweepStorageHandler } from '../../src/jobs/handlers/sweep-storage.ts';
import { enqueue } from '../../src/jobs/queue.ts';
import { planRecurringJobs } from '../../src/services/housekeeping-jobs.ts';
import { sweepStorage } from '../../src/services/sweep-storage.ts';
import { type Storage, StorageError } from '../../src/storage/adapter.ts';
import { createFileStorage } from '../../src/storage/file.ts';
import { openQueue, type Queue, testWorker } from '../jobs/support.ts';
import { setUp } from '../storage/s3-setup.ts';
import { insertTeam, openRows, type Rows, type TeamRows } from '../support/rows.ts';
import { waitFor } from '../support/wait.ts';

const HOUR_MS = 3600 * 1000;
/** The least that makes a store keep an unfinished upload: a whole part. */
const PART = Buffer.alloc(8 * 1024 * 1024, 7);

let queue: Queue;
let rows: Rows;
let team: TeamRows;

beforeAll(async () => {
  queue = await openQueue();
  rows = await openRows(queue.url);
  team = await insertTeam(rows, 'Team');
});

afterEach(async () => {
  await rows.all('delete from jobs');
  await rows.all('delete from tasks');
  await rows.all('delete from videos');
});

afterAll(async () => {
  await rows?.close();
  await queue?.close();
});

const keyOf = (taskId: string, claim = 1, file = 'original') =>
  `teams/${team.teamId}/tasks/${taskId}/${claim}/${file}`;

async function insertTask(status: 'PENDING' | 'FAILED'): Promise<string> {
  const id = randomUUID();
  const isOver = status === 'FAILED';
  await rows.all(
    `insert into tasks (id, team_id, ordinal, index_id, video_id, file_name, name, name_given, incremental, status, outcome, error,
                        waiting_for, stages, finished_at)
     values ($1, $2, 0, $3, gen_random_uuid(), 'a', 'a', true, true, $4, $5, $6, $7, '[]', $8)`,
    [
      id,
      team.teamId,
      team.indexId,
      status,
      isOver ? 'FAILED' : null,
      isOver ? { code: 'INTERNAL', message: 'No.', retryable: true } : null,
      isOver ? null : 'WORKER',
      isOver ? new Date() : null,
    ],
  );
  return id;
}

async function insertVideo(
  storageKey: string,
  productFolders: readonly string[] | null = null,
): Promise<void> {
  await rows.all(
    `insert into videos (id, team_id, index_id, name, file_name, system_metadata, sha256, storage_key, version_import_id,
                         product_folders)
     values (gen_random_uuid(), $1, $2, 'a', 'a', '{}', '', $3, gen_random_uuid(), $4)`,
    [team.teamId, team.indexId, storageKey, productFolders],
  );
}

async function write(storage: Storage, key: string): Promise<string> {
  const writer = await storage.create(key);
  await writer.write(Buffer.from(key));
  await writer.commit();
  return key;
}

async function writePart(storage: Storage, key: string): Promise<string> {
  const writer = await storage.create(key);
  await writer.write(PART);
  await writer.close();
  return key;
}

const keysOf = async (storage: Storage): Promise<string[]> => {
  const keys: string[] = [];
  for await (const key of storage.list('', { partials: true })) keys.push(key);
  return keys.sort();
};

const planDeletion = (prefix: string) =>
  enqueue(queue.db, deleteObjects, {
    subjectId: randomUUID(),
    teamId: team.teamId,
    payload: { prefix, keep: null, lastClaim: null },
  });

const sweepAt = (storage: Storage, hours: number) =>
  sweepStorage(
    { db: queue.db, storage },
    { signal: new AbortController().signal, now: Date.now() + hours * HOUR_MS },
  );

interface Opened {
  readonly storage: Storage;
  close(): Promise<void>;
}

async function openFiles(): Promise<Opened & { readonly root: string }> {
  const root = await mkdtemp(join(tmpdir(), 'sluice-sweep-'));
  return { root, storage: createFileStorage({ root }), close: () => rm(root, { recursive: true }) };
}

async function openS3(): Promise<Opened> {
  const setup = await setUp();
  return { storage: setup.open(), close: setup.close };
}

describe.each([
  ['files', openFiles],
  ['S3', openS3],
])('a storage of %s', (_name, open: () => Promise<Opened>) => {
  let opened: Opened;

  beforeAll(async () => {
    opened = await open();
  });

  afterAll(async () => {
    await opened?.close();
  });

  test('what nobody knows of goes when it is a day old; all else stays', async () => {
    const { storage } = opened;
    const [failed, moved] = [await insertTask('FAILED'), await insertTask('FAILED')];
    const orphans = [
      await write(storage, keyOf(failed)),
      await write(storage, keyOf(failed, 3)),
      await write(storage, keyOf(moved, 1)),
      await write(storage, keyOf(moved, 4, 'pictures/poster.jpg')),
    ];
    const unfinished = await writePart(storage, keyOf(randomUUID(), 9));
    const [byTask, byClaim] = [await insertTask('FAILED'), await insertTask('FAILED')];
    await planDeletion(`teams/${team.teamId}/tasks/${byTask}`);
    await planDeletion(`teams/${team.teamId}/tasks/${byClaim}/1`);
    await planDeletion(`teams/${team.teamId}/tasks/${byClaim}/2/stream`);
    await insertVideo(keyOf(moved, 2), [keyOf(moved, 4, 'stream')]);
    const known = [
      await write(storage, keyOf(moved, 4, 'stream/main.m3u8')),
      await write(storage, keyOf(byClaim, 2, 'stream/main.m3u8')),
      await write(storage, keyOf(moved, 2)),
      await write(storage, keyOf(moved, 2, 'poster.jpg')),
      await write(storage, keyOf(await insertTask('PENDING'), 7)),
      // Of another database on the same storage, or of a time after the backup that this one was restored from.
      await write(storage, keyOf(randomUUID())),
      await write(storage, keyOf(byTask)),
      await write(storage, keyOf(byClaim)),
      await write(storage, `teams/${team.teamId}/tasks/not-one-of-ours/1/original`),
      await write(storage, `teams/${team.teamId}/else`),
      await write(storage, 'elsewhere/original'),
    ];
    expect(await sweepAt(storage, 23)).toBe(0);
    expect(await keysOf(storage)).toEqual([...orphans, unfinished, ...known].sort());
    expect(await sweepAt(storage, 25)).toBe(orphans.length);
    expect(await keysOf(storage)).toEqual(known.sort());
  });
});

describe('a store that fails', () => {
  test('keeps nothing but what it fails at, and the job comes again until that is done', async () => {
    const { root, storage, close } = await openFiles();
    const orphans = await Promise.all(
      [1, 2, 3].map(async () => write(storage, keyOf(await insertTask('FAILED')))),
    );
    const part = await writePart(storage, keyOf(randomUUID()));
    const old = new Date(Date.now() - 25 * HOUR_MS);
    for (const key of [...orphans, `${part}.part`]) await utimes(join(root, key), old, old);
    const stubborn = orphans[1] ?? '';
    let failsStill = true;
    const failing: Storage = {
      ...storage,
      async delete(key) {
        if (failsStill && key === stubborn) throw new StorageError('UNAVAILABLE', 'The store is away.');
        await storage.delete(key);
      },
    };
    const worker = testWorker(queue, [untyped(failing)], { concurrency: {} });
    try {
      await planNow();
      worker.start();
      const row = await waitFor(async () => (await jobs()).find(({ failures }) => failures >= 2));
      expect(row.failures).toBeLessThan(1000);
      expect(await keysOf(storage)).toEqual([stubborn]);
      failsStill = false;
      await waitFor(async () => (await keysOf(storage)).length === 0, { what: 'the last one to go' });
      await waitFor(async () => (await jobs()).every(({ failures, is_late }) => failures === 0 && is_late));
    } finally {
      await worker.stop();
      await close();
    }
  });

  test('that is away as a whole is not asked for everything', async () => {
    const { storage, close } = await openFiles();
    for (let n = 0; n < 30; n += 1) await write(storage, keyOf(await insertTask('FAILED')));
    let asked = 0;
    const away: Storage = {
      ...storage,
      async delete() {
        asked += 1;
        throw new StorageError('UNAVAILABLE', 'The store is away.');
      },
    };
    await expect(sweepAt(away, 25)).rejects.toThrow('The store is away.');
    expect(asked).toBe(10);
    await close();
  });
});

test('several servers sweep once, and plan one next sweep', async () => {
  const { storage, close } = await openFiles();
  let lists = 0;
  const counted: Storage = {
    ...storage,
    list(prefix, options) {
      lists += 1;
      return storage.list(prefix, options);
    },
  };
  // None of them stands still for so long that another one sweeps in its place.
  const options = { concurrency: {}, leaseSeconds: 30 };
  const workers = [1, 2, 3].map(() => testWorker(queue, [untyped(counted)], options));
  try {
    await Promise.all([1, 2, 3, 4, 5].map(() => planRecurringJobs(queue.db)));
    expect(await jobs()).toMatchObject([{ is_late: true }]);
    await planNow();
    for (const worker of workers) worker.start();
    await waitFor(async () => lists > 0 && (await jobs())[0]?.is_late === true, { what: 'the next sweep' });
    expect(await jobs()).toHaveLength(1);
    expect(lists).toBe(1);
  } finally {
    await Promise.all(workers.map((worker) => worker.stop()));
    await close();
  }
});

// The worker knows no payloads.
const untyped = (storage: Storage) => createSweepStorageHandler({ services: queue, storage }) as never;

async function planNow(): Promise<void> {
  await planRecurringJobs(queue.db);
  await rows.all('update jobs set run_at = now() where kind = $1', [definition.kind]);
}

const jobs = () =>
  rows.all<{ failures: number; is_late: boolean }>(
    `select failures, run_at > now() + interval '4 hours' as is_late from jobs where kind = $1`,
    [definition.kind],
  );
