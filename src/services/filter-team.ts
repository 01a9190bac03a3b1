import type { Database } from '../db/client.ts';
import type { TaskFilter } from './filters.ts';
import { fromPublicId } from './public-ids.ts';
import type { Viewer } from './viewer.ts';

/** No team has this id: its tasks are none, and never change. */
const NOBODY = '00000000-0000-0000-0000-000000000000';

/**
 * The team whose tasks a filter is about, as in lists: the one it names, else the one of another id in it, else the
 * key's default team. What is another's and what does not exist lead to a team without tasks alike.
 */
export async function teamOfFilter(db: Database, viewer: Viewer, filter: TaskFilter): Promise<string> {
  if (filter.teamId != null) {
    const id = fromPublicId('Team', filter.teamId);
    return id !== null && viewer.teamIds.includes(id) ? id : NOBODY;
  }
  const named = teamOfNamed(db, viewer, filter);
  return named === null ? viewer.defaultTeamId : ((await named)?.teamId ?? NOBODY);
}

type Found = Promise<{ readonly teamId: string } | undefined>;

/** @returns null when the filter names nothing that is of a team */
function teamOfNamed(db: Database, viewer: Viewer, filter: TaskFilter): Found | null {
  const { indexId, importId, integrationId, videoId } = filter;
  const columns = { teamId: true } as const;
  const found = <Where extends object>(where: Where) => ({
    columns,
    where: { ...where, teamId: { in: [...viewer.teamIds] } },
  });
  const owned = (id: string | null) => found({ id: id ?? NOBODY });
  if (indexId != null) return db.query.indexes.findFirst(owned(fromPublicId('Index', indexId)));
  if (importId != null) return db.query.imports.findFirst(owned(fromPublicId('Import', importId)));
  if (integrationId != null)
    return db.query.integrations.findFirst(owned(fromPublicId('Integration', integrationId)));
  // The id of a video is known from its first task, before there is a video.
  if (videoId != null)
    return db.query.tasks.findFirst(found({ videoId: fromPublicId('Video', videoId) ?? NOBODY }));
  return null;
}
