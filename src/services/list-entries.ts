import { sql } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import type { StoredObjectInput } from '../db/tables/imports.ts';
import type { ListedObject, ListingPage } from '../sources/source.ts';

const MAX_FILE_NAME_LENGTH = 255;

/** The file name of an object that is given none: the last segment of its key, cut to what a file name may have. */
export function fileNameOf(key: string): string {
  const segments = key.split('/').filter((segment) => segment !== '');
  const characters = [...(segments.at(-1) ?? key)];
  return characters.slice(-MAX_FILE_NAME_LENGTH).join('');
}

/** What is kept of a listed object. */
export function toInput({ key, size, version, refusal }: ListedObject): StoredObjectInput {
  return {
    key,
    fileName: fileNameOf(key),
    size,
    ...(version === null ? {} : { version }),
    ...(refusal === undefined
      ? {}
      : { refusal: { code: refusal.code, message: refusal.message, retryable: refusal.retryable } }),
  };
}

/**
 * Stores the objects of a page as entries and where the listing goes on, behind the lock on the import's row. An object that
 * an earlier page had is left out.
 * @returns how many entries are new
 */
export async function storePage(tx: Transaction, importId: string, page: ListingPage): Promise<number> {
  const byKey = new Map(page.objects.map((object) => [object.key, object]));
  const rows = JSON.stringify([...byKey.values()].map((object, at) => ({ at, input: toInput(object) })));
  const { rowCount } = await tx.execute(sql`
    insert into import_entries (import_id, ordinal, input, listed_key)
    select i.id, i.found + row_number() over (order by r.at) - 1, r.input, r.input ->> 'key'
      from imports i, jsonb_to_recordset(${rows}::jsonb) as r(at int, input jsonb)
     where i.id = ${importId}
       and not exists (select from import_entries e where e.import_id = i.id and e.listed_key = r.input ->> 'key')`);
  const added = rowCount ?? 0;
  await tx.execute(sql`
    update imports set found = found + ${added}, listing_position = ${page.next}, listed = ${page.next === null}
     where id = ${importId}`);
  return added;
}
