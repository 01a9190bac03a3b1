import { sql } from 'drizzle-orm';
import type { Database } from '../db/client.ts';
import { deleteObjects } from '../jobs/definitions.ts';

// Word for word as in the index jobs_planned_deletions: there are as many planned deletions as videos were replaced within an
// hour, and each that runs looks for those below its own prefix. 0 is the character behind the slash.
const KIND = sql.raw(`'${deleteObjects.kind}'`);

/**
 * Of the folders that these keys lie in, those that have to stay for now: a video has its bytes or what was made of it there, or
 * another deletion is planned for just that folder, later, because URLs to it still hold.
 * @param options.jobId the deletion that asks
 */
export async function keptFolders(
  db: Pick<Database, 'execute'>,
  {
    jobId,
    prefix,
    keys,
  }: { readonly jobId: string; readonly prefix: string; readonly keys: readonly string[] },
): Promise<string[]> {
  const { rows } = await db.execute<{ folder: string }>(sql`
    select regexp_replace(v.storage_key, '/[^/]*$', '') as folder from videos v
     where v.storage_key = any(${sql.param(keys)}::text[])
    union
    select folder from videos v, unnest(v.product_folders) folder
     where v.product_folders && ${sql.param(foldersAbove(prefix, keys))}::text[]
    union
    select j.payload ->> 'prefix' from jobs j
     where j.kind = ${KIND} and j.id <> ${jobId} and j.run_at > now()
       and (j.payload ->> 'prefix') collate "C" > ${`${prefix}/`} and (j.payload ->> 'prefix') collate "C" < ${`${prefix}0`}`);
  return rows.map(({ folder }) => folder);
}

/** The folders that keys lie in, up to one below the prefix, and the prefix itself. */
function foldersAbove(prefix: string, keys: readonly string[]): string[] {
  const folders = new Set([prefix]);
  for (const key of keys)
    for (let end = key.lastIndexOf('/'); end > prefix.length; end = key.lastIndexOf('/', end - 1))
      folders.add(key.slice(0, end));
  return [...folders];
}
