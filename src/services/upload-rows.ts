import { type SQL, sql } from 'drizzle-orm';
import type { Database, Transaction } from '../db/client.ts';
import type { UploadMetadata } from '../db/tables/uploads.ts';
import { UploadRefusedError } from './errors.ts';
import { fromPublicId } from './public-ids.ts';
import type { Viewer } from './viewer.ts';

/** How long an upload may take, and how long a complete one waits to be used, in seconds. */
export const UPLOAD_SECONDS = 24 * 3600;

/** What belongs to an upload in the storage is below this. */
export const uploadPrefix = (id: string): string => `uploads/${id}`;

/** Where its bytes are, until a task takes them. */
export const uploadKey = (id: string): string => `${uploadPrefix(id)}/original`;

/** An upload as it stands. */
export interface UploadState {
  readonly id: string;
  readonly teamId: string;
  readonly tokenId: string | null;
  /** In bytes, as declared. */
  readonly length: number;
  /** In bytes, as last seen. */
  readonly received: number;
  readonly metadata: UploadMetadata | null;
  readonly createdAt: Date;
  readonly isComplete: boolean;
  readonly isUsed: boolean;
  /** It was not complete, or not used, in time, or was given up. */
  readonly isGone: boolean;
}

interface Row extends Record<string, unknown> {
  readonly id: string;
  readonly team_id: string;
  readonly token_id: string | null;
  readonly length: string;
  readonly received: string;
  readonly metadata: UploadMetadata | null;
  readonly created_at: Date | string;
  readonly is_complete: boolean;
  readonly is_used: boolean;
  readonly is_gone: boolean;
}

/** Columns of an upload, under the name u, by the database's clock. One that was used keeps its bytes as long as it is needed. */
const COLUMNS = sql`
  u.id, u.team_id, u.token_id, u.length, u.received, u.metadata, u.created_at,
  u.completed_at is not null as is_complete, u.used_at is not null as is_used,
  case when u.completed_at is not null and u.used_at is not null then false
       else u.removed_at is not null or u.expires_at <= now() end as is_gone`;

const toState = (row: Row): UploadState => ({
  id: row.id,
  teamId: row.team_id,
  tokenId: row.token_id,
  length: Number(row.length),
  received: Number(row.received),
  metadata: row.metadata,
  createdAt: new Date(row.created_at),
  isComplete: row.is_complete,
  isUsed: row.is_used,
  isGone: row.is_gone,
});

/** Whether the upload of an id in a statement is one that its client is still sending: whoever needs it waits. */
export const isIncomplete = (id: SQL): SQL => sql`
  exists (select from uploads u where u.id = ${id} and u.completed_at is null and u.removed_at is null)`;

/** Reads uploads by their row ids, in the order of these. */
export async function readUploads(
  db: Database | Transaction,
  ids: readonly string[],
  { lock = false }: { readonly lock?: boolean } = {},
): Promise<readonly UploadState[]> {
  if (ids.length === 0) return [];
  const { rows } = await db.execute<Row>(sql`
    select ${COLUMNS} from uploads u where u.id = any(${sql.param(ids)}::uuid[]) order by u.id
    ${lock ? sql`for update` : sql``}`);
  return rows.map(toState);
}

/** Reads one upload; null when there is none. */
export async function readUpload(db: Database | Transaction, id: string): Promise<UploadState | null> {
  const [row] = await readUploads(db, [id]);
  return row ?? null;
}

/** Whether an upload is one that the viewer may do anything with. */
export function reaches(viewer: Viewer, upload: Pick<UploadState, 'teamId' | 'tokenId'>): boolean {
  if (viewer.uploadToken !== undefined) return upload.tokenId === viewer.uploadToken.id;
  return viewer.teamIds.includes(upload.teamId);
}

/**
 * The upload that a public id names, to be gone on with.
 * @throws {UploadRefusedError} NOT_FOUND when the viewer reaches none, GONE when it has expired or was given up
 */
export async function findOwnUpload(db: Database, viewer: Viewer, publicId: string): Promise<UploadState> {
  const id = fromPublicId('Upload', publicId);
  const upload = id === null ? null : await readUpload(db, id);
  if (upload === null || !reaches(viewer, upload))
    throw new UploadRefusedError('NOT_FOUND', 'There is no such upload.');
  if (upload.isGone)
    throw new UploadRefusedError('GONE', 'The upload has expired or was given up. Begin a new one.');
  return upload;
}
