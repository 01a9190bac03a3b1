import { createHash } from 'node:crypto';
import type { Database } from '../db/client.ts';
import { askNamed, namedStatement } from '../db/named-statements.ts';
import { ForbiddenError } from './errors.ts';

/** What a key may be allowed to do; each includes those before it. */
export const SCOPES = ['READ', 'WRITE', 'ADMIN'] as const;
export type Scope = (typeof SCOPES)[number];

/** Who asks: the key behind a request, and the teams that it reaches. */
export interface Viewer {
  readonly keyId: string;
  readonly keyName: string;
  readonly scopes: readonly string[];
  readonly defaultTeamId: string;
  readonly teamIds: readonly string[];
  /** Set for an upload token, which may do with its one upload what it is for, and nothing else. */
  readonly uploadToken?: UploadToken;
}

/** What a token for one upload allows. */
export interface UploadToken {
  readonly id: string;
  /** The index that its video is for. */
  readonly indexId: string;
  /** In bytes. */
  readonly maxBytes: number;
}

/** Whether the viewer's key has a scope, or one that includes it. */
export function hasScope({ scopes }: Pick<Viewer, 'scopes'>, scope: Scope): boolean {
  return SCOPES.slice(SCOPES.indexOf(scope)).some((each) => scopes.includes(each));
}

/** @throws {ForbiddenError} when the viewer's key lacks a scope */
export function requireScope(viewer: Pick<Viewer, 'scopes'>, scope: Scope): void {
  if (!hasScope(viewer, scope)) throw new ForbiddenError(scope);
}

const KEY_FORMAT = /^slc_[A-Za-z0-9_-]{32,200}$/;

/** What the database knows a key by: the SHA-256 of the whole, in hex. */
export function hashApiKey(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

interface KeyRow {
  readonly id: string;
  readonly name: string;
  readonly scopes: string[];
  readonly default_team_id: string;
  readonly team_ids: string[];
}

/** Every request asks it. */
const FIND_KEY = namedStatement(`
  select k.id, k.name, k.scopes, k.default_team_id,
         array(select t.team_id from api_key_teams t where t.api_key_id = k.id order by t.team_id) as team_ids
    from api_keys k
   where k.hash = $1 and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())`);

/** The viewer behind an API key; null when there is no such key, or it is revoked or past its expiry. */
export async function authenticate(db: Database, key: string): Promise<Viewer | null> {
  if (!KEY_FORMAT.test(key)) return null;
  const { rows } = await askNamed<KeyRow>(db, FIND_KEY, [hashApiKey(key)]);
  const [row] = rows;
  if (!row) return null;
  return {
    keyId: row.id,
    keyName: row.name,
    scopes: row.scopes,
    defaultTeamId: row.default_team_id,
    teamIds: row.team_ids,
  };
}
