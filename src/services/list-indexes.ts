import type { Maybe } from './filter-values.ts';
import { type TaskFilter, teamOf } from './filters.ts';
import { fromPublicId } from './public-ids.ts';
import type { Viewer } from './viewer.ts';

/** Lists of these have an index of their own, in this order. */
const LISTED_BY = {
  createdAt: new Set(['indexId', 'importId', 'integrationId']),
  updatedAt: new Set<string>(),
};

/**
 * Whether the list that a filter asks for has an index of its own, so that its pages are read through that one whatever the
 * values are: a list of a team, of what rows belong to, or of tasks of one status.
 */
export function hasOneIndex(
  {
    teamId: _,
    status,
    ...filter
  }: { readonly teamId?: unknown; readonly status?: Maybe<readonly unknown[]> },
  by: 'createdAt' | 'updatedAt',
): boolean {
  const given = Object.entries(filter).flatMap(([name, value]) => (value == null ? [] : [name]));
  const [name, ...others] = given;
  if (others.length > 0 || (name !== undefined && !LISTED_BY[by].has(name))) return false;
  return (
    status == null ||
    (status.length === 1 && (name === undefined || (name === 'indexId' && by === 'createdAt')))
  );
}

/** Several statuses and nothing else that tasks of a team, or of an index, are to have. */
export interface SeveralStatuses {
  readonly statuses: readonly string[];
  readonly owner: 'team' | 'index';
  readonly ownerId: string;
}

/** What a filter asks for, where it is several statuses and nothing else but whose tasks; null for any other. */
export function severalStatuses(
  viewer: Viewer,
  { teamId, indexId, status, ...others }: TaskFilter,
): SeveralStatuses | null {
  const statuses = [...new Set(status)];
  if (statuses.length < 2 || Object.values(others).some((value) => value != null)) return null;
  const ownerId = indexId == null ? teamOf(viewer, teamId) : fromPublicId('Index', indexId);
  return ownerId === null ? null : { statuses, owner: indexId == null ? 'team' : 'index', ownerId };
}
