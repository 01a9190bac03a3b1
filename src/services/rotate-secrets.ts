import { type SQL, sql } from 'drizzle-orm';
import type { Database } from '../db/client.ts';
import { ownerOfCredentials } from './integration-credentials.ts';
import { type SecretBox, SecretBoxError, type SecretOwner } from './secret-box.ts';
import { ownerOfUrl, SEALED_URL_PREFIX } from './source-urls.ts';
import { ownerOfWebhookSecret } from './webhook-secrets.ts';

/** How many rows are read and written at once. */
const BATCH = 500;

/** What has become of the secrets of one kind. */
export interface Rotated {
  /** For people, in the plural. */
  readonly what: string;
  readonly rotated: number;
  /** Those that no key opens, left as they are. */
  readonly unreadable: number;
}

/** Where sealed texts stand. `prefix` is what comes before them in their column. */
interface Place {
  readonly what: string;
  readonly prefix: string;
  /** Rows after a position, in its order, sealed with another key than the current one: position, id, teamId and the text. */
  select(after: string | null, sealedByCurrent: string): SQL;
  /** Writes texts where the old ones still are; `changes` are objects of position, sealed and resealed, as JSON. */
  update(changes: string): SQL;
  ownerOf(row: { readonly id: string; readonly teamId: string }): SecretOwner;
}

interface Row extends Record<string, unknown> {
  position: string;
  id: string;
  teamId: string;
  sealed: string;
}

const CHANGES = sql.raw('as c(position text, sealed text, resealed text)');

const CREDENTIALS: Place = {
  what: 'credentials of integrations',
  prefix: '',
  select: (after, current) => sql`
    select id::text as position, id, team_id as "teamId", credentials as sealed
      from integrations
     where credentials not like ${current} and (${after}::uuid is null or id > ${after}::uuid)
     order by id limit ${BATCH}`,
  update: (changes) => sql`
    update integrations i set credentials = c.resealed
      from jsonb_to_recordset(${changes}::jsonb) ${CHANGES}
     where i.id = c.position::uuid and i.credentials = c.sealed`,
  ownerOf: ownerOfCredentials,
};

const TASK_URLS: Place = {
  what: 'URLs of tasks',
  prefix: SEALED_URL_PREFIX,
  select: (after, current) => sql`
    select id::text as position, id, team_id as "teamId", source_url as sealed
      from tasks
     where source_url like ${`${SEALED_URL_PREFIX}%`} and source_url not like ${current}
       and (${after}::uuid is null or id > ${after}::uuid)
     order by id limit ${BATCH}`,
  update: (changes) => sql`
    update tasks t set source_url = c.resealed
      from jsonb_to_recordset(${changes}::jsonb) ${CHANGES}
     where t.id = c.position::uuid and t.source_url = c.sealed`,
  ownerOf: ({ teamId }) => ownerOfUrl(teamId),
};

const ENTRY_URLS: Place = {
  what: 'URLs of imports',
  prefix: SEALED_URL_PREFIX,
  select: (after, current) => sql`
    select e.import_id || ' ' || e.ordinal as position, e.import_id as id, i.team_id as "teamId", e.input ->> 'url' as sealed
      from import_entries e join imports i on i.id = e.import_id
     where e.input ->> 'url' like ${`${SEALED_URL_PREFIX}%`} and e.input ->> 'url' not like ${current}
       and (${after}::text is null or (e.import_id, e.ordinal) >
            (split_part(${after}, ' ', 1)::uuid, split_part(${after}, ' ', 2)::integer))
     order by e.import_id, e.ordinal limit ${BATCH}`,
  update: (changes) => sql`
    update import_entries e set input = jsonb_set(e.input, '{url}', to_jsonb(c.resealed))
      from jsonb_to_recordset(${changes}::jsonb) ${CHANGES}
     where e.import_id = split_part(c.position, ' ', 1)::uuid and e.ordinal = split_part(c.position, ' ', 2)::integer
       and e.input ->> 'url' = c.sealed`,
  ownerOf: ({ teamId }) => ownerOfUrl(teamId),
};

const WEBHOOK_URLS: Place = {
  what: 'URLs of webhooks',
  prefix: SEALED_URL_PREFIX,
  select: (after, current) => sql`
    select id::text as position, id, team_id as "teamId", webhook_url as sealed
      from imports
     where webhook_url like ${`${SEALED_URL_PREFIX}%`} and webhook_url not like ${current}
       and (${after}::uuid is null or id > ${after}::uuid)
     order by id limit ${BATCH}`,
  update: (changes) => sql`
    update imports i set webhook_url = c.resealed
      from jsonb_to_recordset(${changes}::jsonb) ${CHANGES}
     where i.id = c.position::uuid and i.webhook_url = c.sealed`,
  ownerOf: ({ teamId }) => ownerOfUrl(teamId),
};

const WEBHOOK_SECRETS: Place = {
  what: 'secrets that sign webhooks',
  prefix: '',
  select: (after, current) => sql`
    select id::text as position, id, team_id as "teamId", secret as sealed
      from webhook_secrets
     where secret not like ${current} and (${after}::uuid is null or id > ${after}::uuid)
     order by id limit ${BATCH}`,
  update: (changes) => sql`
    update webhook_secrets s set secret = c.resealed
      from jsonb_to_recordset(${changes}::jsonb) ${CHANGES}
     where s.id = c.position::uuid and s.secret = c.sealed`,
  ownerOf: ownerOfWebhookSecret,
};

/**
 * Encrypts every stored secret with the current key that another key has encrypted, in batches that are each committed:
 * it may be stopped at any time and begun again, and servers may run meanwhile.
 * @throws the reason of the signal, when it aborts between two batches
 */
export async function rotateSecrets(
  db: Database,
  secrets: SecretBox,
  signal: AbortSignal,
): Promise<readonly Rotated[]> {
  const rotated: Rotated[] = [];
  for (const place of [CREDENTIALS, TASK_URLS, ENTRY_URLS, WEBHOOK_URLS, WEBHOOK_SECRETS])
    rotated.push(await rotatePlace(db, { secrets, place, signal }));
  return rotated;
}

interface Work {
  readonly secrets: SecretBox;
  readonly place: Place;
  readonly signal: AbortSignal;
}

async function rotatePlace(db: Database, work: Work): Promise<Rotated> {
  const { secrets, place, signal } = work;
  const sealedByCurrent = `${place.prefix}v1.${secrets.currentKeyId}.%`;
  let [rotated, unreadable] = [0, 0];
  for (let after: string | null = null; ; ) {
    signal.throwIfAborted();
    const { rows }: { rows: Row[] } = await db.execute<Row>(place.select(after, sealedByCurrent));
    const changes = rows.flatMap((row) => reseal(work, row) ?? []);
    if (changes.length > 0)
      rotated += (await db.execute(place.update(JSON.stringify(changes)))).rowCount ?? 0;
    unreadable += rows.length - changes.length;
    after = rows.at(-1)?.position ?? null;
    if (rows.length < BATCH) return { what: place.what, rotated, unreadable };
  }
}

/** The text of a row as it is and as it shall be; null if no key opens it. */
function reseal({ secrets, place }: Work, row: Row) {
  const owner = place.ownerOf(row);
  try {
    const text = secrets.open(row.sealed.slice(place.prefix.length), owner);
    return {
      position: row.position,
      sealed: row.sealed,
      resealed: place.prefix + secrets.seal(text, owner),
    };
  } catch (error) {
    if (error instanceof SecretBoxError) return null;
    throw error;
  }
}
