import { eq, sql } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import { indexes } from '../db/tables/indexes.ts';
import { transaction } from '../db/transaction.ts';
import type { Services } from './deps.ts';
import { discardUploads } from './end-task.ts';
import { IndexIsDefaultError, IndexNotEmptyError, NotFoundError } from './errors.ts';
import { ownedBy } from './filters.ts';
import type { Viewer } from './viewer.ts';

/** How many tasks go in one statement, so that none takes longer than one may. */
const BATCH = 10_000;

/**
 * Deletes an index that has no videos and that nothing is on its way into, with its finished tasks; imports into it stay.
 * All of it or nothing, in one transaction.
 * @throws {NotFoundError} also when another call has deleted it meanwhile
 * @throws {IndexIsDefaultError}
 * @throws {IndexNotEmptyError}
 */
export async function deleteIndex(services: Services, viewer: Viewer, publicId: string): Promise<void> {
  const where = ownedBy(viewer, 'Index', publicId);
  const found = where && (await services.db.query.indexes.findFirst({ where, columns: { id: true } }));
  if (!found) throw new NotFoundError('index', ['id']);
  const teamId = await transaction(services.db, async (tx) => {
    // Whoever starts something that leads here, or opens it again, has locked the index before and is seen below.
    const [row] = await tx.select().from(indexes).where(eq(indexes.id, found.id)).for('update');
    if (!row) throw new NotFoundError('index', ['id']);
    if (row.isDefault) throw new IndexIsDefaultError();
    await checkEmpty(tx, row.id);
    // Imports are locked before tasks; theirs is set to none with the index.
    await tx.execute(sql`select from imports where index_id = ${row.id} order by id for update`);
    await discardUploads(tx, sql`t.index_id = ${row.id}`);
    await deleteTasks(tx, row.id);
    await tx.delete(indexes).where(eq(indexes.id, row.id));
    return row.teamId;
  });
  services.changes.announce({ teamId, importId: null });
}

async function checkEmpty(tx: Transaction, indexId: string): Promise<void> {
  const { rows } = await tx.execute<{
    videos: number;
    imports: number;
    tasks: number;
    undecided: number;
  }>(sql`
    with running as materialized (
      select id from imports where index_id = ${indexId} and finished_at is null
    )
    select (select count(*) from videos where index_id = ${indexId})::int as videos,
           (select count(*) from running)::int as imports,
           (select count(*) from tasks where index_id = ${indexId} and finished_at is null)::int as tasks,
           (select count(*) from import_entries where import_id in (select id from running) and verdict is null)::int as undecided`);
  const { videos = 0, imports = 0, tasks = 0, undecided = 0 } = rows[0] ?? {};
  if (videos > 0 || imports > 0 || tasks > 0)
    throw new IndexNotEmptyError({ videoCount: videos, unfinishedTaskCount: tasks + undecided });
}

async function deleteTasks(tx: Transaction, indexId: string): Promise<void> {
  for (let deleted = BATCH; deleted === BATCH; ) {
    const { rowCount } = await tx.execute(sql`
      delete from tasks where id = any(array(select id from tasks where index_id = ${indexId} limit ${BATCH}))`);
    deleted = rowCount ?? 0;
  }
}
