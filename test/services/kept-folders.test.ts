import { randomUUID } from 'node:crypto';
import { type SQL, sql } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Database } from '../../src/db/client.ts';
import { deleteObjects } from '../../src/jobs/definitions.ts';
import { enqueueMany } from '../../src/jobs/queue.ts';
import { keptFolders } from '../../src/services/kept-folders.ts';
import { openQueue, type Queue } from '../jobs/support.ts';

/** About as many as an import leaves that replaces ten thousand videos. */
const MANY = 10_000;
const TEAM = randomUUID();
const prefixOf = (task: string) => `teams/${TEAM}/tasks/${task}`;

let queue: Queue;

beforeAll(async () => {
  queue = await openQueue();
  await plan(Array.from({ length: MANY }, (_, n) => `${prefixOf(randomUUID())}/${n}/stream`));
  await queue.pool.query('analyze jobs');
});

afterAll(async () => {
  await queue?.close();
});

/** Plans deletions, an hour from now unless a time is given. */
async function plan(prefixes: readonly string[], runAt = new Date(Date.now() + 3_600_000)): Promise<void> {
  const jobs = prefixes.map((prefix) => ({
    subjectId: randomUUID(),
    teamId: TEAM,
    payload: { prefix, keep: null, lastClaim: null },
    runAt,
  }));
  await enqueueMany(queue.db, deleteObjects, jobs);
}

const kept = (
  prefix: string,
  { db = queue.db, jobId = randomUUID() }: { db?: Pick<Database, 'execute'>; jobId?: string } = {},
) => keptFolders(db, { jobId, prefix, keys: [`${prefix}/1/original`, `${prefix}/2/stream/main.m3u8`] });

test('folders stay that another deletion is planned for, later; those beside them, and what is due, do not', async () => {
  const prefix = prefixOf('one');
  await plan([
    `${prefix}/1`,
    `${prefix}/2/stream`,
    prefix,
    `${prefix}0/3`,
    `${prefix}-/3`,
    `${prefixOf('on')}/4`,
  ]);
  await plan([`${prefix}/5`], new Date(Date.now() - 1_000));
  expect((await kept(prefix)).sort()).toEqual([`${prefix}/1`, `${prefix}/2/stream`]);
  const { rows } = await queue.pool.query<{ id: string }>(
    `select id from jobs where payload ->> 'prefix' = $1`,
    [`${prefix}/1`],
  );
  expect(await kept(prefix, { jobId: rows[0]?.id ?? '' })).toEqual([`${prefix}/2/stream`]);
});

test('of ten thousand planned deletions only those of the prefix are read', async () => {
  const asked: SQL[] = [];
  const execute: Database['execute'] = (query) => {
    // The only kind that is given here.
    asked.push(query as SQL);
    return queue.db.execute(query);
  };
  await kept(prefixOf('two'), { db: { execute } });
  const [query] = asked;
  const { rows } = await queue.db.execute<{ 'QUERY PLAN': string }>(sql`explain (analyze) ${query}`);
  const text = rows.map((row) => row['QUERY PLAN']).join('\n');
  expect(text).toContain('jobs_planned_deletions');
  expect(text).not.toMatch(/Seq Scan on jobs/);
});
