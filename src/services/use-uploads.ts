import { sql } from 'drizzle-orm';
import type { Database, Transaction } from '../db/client.ts';
import { InvalidInputError, NotFoundError } from './errors.ts';
import { fromPublicId } from './public-ids.ts';
import { reaches, readUploads, type UploadState } from './upload-rows.ts';
import type { Viewer } from './viewer.ts';

/** An upload as an input names it. */
export interface NamedUpload {
  readonly id: string;
  /** Where in the input. */
  readonly path: readonly string[];
}

/** An upload that an input names, with where it does. */
export interface FoundUpload extends UploadState {
  readonly path: readonly string[];
}

/** Uploads by the ids that an input has for them. */
export type FoundUploads = ReadonlyMap<string, FoundUpload>;

/**
 * Finds the uploads that an input names; whether they may still be used is another question, for the call may be repeated.
 * @throws {NotFoundError} when one of them is none that the viewer reaches
 * @throws {InvalidInputError} DUPLICATE when one is named twice
 */
export async function findUploads(
  db: Database,
  viewer: Viewer,
  named: readonly NamedUpload[],
): Promise<FoundUploads> {
  if (named.length === 0) return new Map();
  const ids = named.map(({ id }) => fromPublicId('Upload', id));
  const states = await readUploads(
    db,
    ids.flatMap((id) => id ?? []),
  );
  const byId = new Map(states.map((state) => [state.id, state]));
  const found = new Map<string, FoundUpload>();
  for (const [at, { id, path }] of named.entries()) {
    const state = byId.get(ids[at] ?? '');
    if (state === undefined || !reaches(viewer, state)) throw new NotFoundError('upload', path);
    if (found.has(id)) throw usedTwice(path);
    found.set(id, { ...state, path });
  }
  return found;
}

/**
 * Sees whether uploads may be used, as they stand.
 * @throws {InvalidInputError} DUPLICATE when one is used already
 * @throws {NotFoundError} when one has expired or was given up
 */
export function assertUsable(
  found: FoundUploads,
  states: readonly UploadState[] = [...found.values()],
): void {
  const byId = new Map(states.map((state) => [state.id, state]));
  for (const { id, path } of found.values()) {
    const state = byId.get(id);
    if (state?.isUsed) throw usedTwice(path);
    if (state === undefined || state.isGone) throw new NotFoundError('upload', path);
  }
}

/**
 * Marks uploads as used, as part of the caller's transaction, which makes what uses them.
 * @param importId the import that uses them; null for a task without one
 * @returns the uploads as they stand, locked: one that is not complete will be after this transaction
 * @throws as `assertUsable`
 */
export async function useUploads(
  tx: Transaction,
  found: FoundUploads,
  importId: string | null,
): Promise<readonly UploadState[]> {
  if (found.size === 0) return [];
  const ids = [...found.values()].map(({ id }) => id);
  const states = await readUploads(tx, ids, { lock: true });
  assertUsable(found, states);
  await tx.execute(sql`
    update uploads set used_at = now(), import_id = ${importId} where id = any(${sql.param(ids)}::uuid[])`);
  return states;
}

const usedTwice = (path: readonly string[]) =>
  new InvalidInputError([
    { path, code: 'DUPLICATE', message: 'is used already: an upload is for one video. Send the file again' },
  ]);
