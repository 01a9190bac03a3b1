import { sql } from 'drizzle-orm';
import type { Database } from '../db/client.ts';
import type { TaskStatus } from '../db/tables/tasks.ts';
import { type Columns, condition } from './condition.ts';
import { BadFilterError } from './errors.ts';
import {
  equals,
  isIn,
  type Maybe,
  matches,
  matchesFileName,
  type Range,
  type StringFilter,
  within,
} from './filter-values.ts';
import { type MetadataFilter, matchesMetadata } from './metadata-filter.ts';
import { fromPublicId, type IdentifiedType } from './public-ids.ts';
import type { Viewer } from './viewer.ts';

type Rows = Database['query'];
type WhereOf<Table extends keyof Rows> = NonNullable<
  NonNullable<Parameters<Rows[Table]['findMany']>[0]>['where']
>;

/** Conditions on the rows of a list, as relational queries take them. */
export type TaskWhere = WhereOf<'tasks'>;
export type ImportWhere = WhereOf<'imports'>;
export type VideoWhere = WhereOf<'videos'>;

export interface TaskFilter {
  readonly status?: Maybe<readonly TaskStatus[]>;
  readonly indexId?: Maybe<string>;
  readonly importId?: Maybe<string>;
  readonly teamId?: Maybe<string>;
  readonly videoId?: Maybe<string>;
  readonly integrationId?: Maybe<string>;
  readonly fileName?: Maybe<StringFilter>;
  readonly sourceKey?: Maybe<StringFilter>;
  readonly systemName?: Maybe<string>;
  readonly externalId?: Maybe<StringFilter>;
  readonly outcome?: Maybe<readonly ('CREATED' | 'UPDATED' | 'SKIPPED' | 'FAILED' | 'CANCELED')[]>;
  readonly errorCode?: Maybe<readonly string[]>;
  readonly duration?: Maybe<Range<number>>;
  readonly width?: Maybe<Range<number>>;
  readonly height?: Maybe<Range<number>>;
  readonly createdAt?: Maybe<Range<Date>>;
  readonly updatedAt?: Maybe<Range<Date>>;
}

export interface ImportFilter {
  readonly state?: Maybe<readonly ('PLANNING' | 'STARTED' | 'SUCCEEDED' | 'FAILED' | 'CANCELED')[]>;
  readonly hasFailures?: Maybe<boolean>;
  readonly integrationId?: Maybe<string>;
  readonly indexId?: Maybe<string>;
  readonly systemName?: Maybe<string>;
  readonly teamId?: Maybe<string>;
  readonly createdAt?: Maybe<Range<Date>>;
}

export interface VideoFilter {
  readonly indexId?: Maybe<string>;
  readonly teamId?: Maybe<string>;
  readonly systemName?: Maybe<string>;
  readonly externalId?: Maybe<StringFilter>;
  readonly fileName?: Maybe<StringFilter>;
  readonly name?: Maybe<StringFilter>;
  readonly duration?: Maybe<Range<number>>;
  readonly width?: Maybe<Range<number>>;
  readonly height?: Maybe<Range<number>>;
  readonly createdAt?: Maybe<Range<Date>>;
  readonly updatedAt?: Maybe<Range<Date>>;
  /** All must hold. */
  readonly metadata?: Maybe<readonly MetadataFilter[]>;
}

/**
 * The team that a call is for: the one named, else the key's default team.
 * @returns its row id; null when the viewer does not reach it
 */
export function teamOf(viewer: Viewer, publicId: Maybe<string>): string | null {
  const id = publicId == null ? viewer.defaultTeamId : fromPublicId('Team', publicId);
  return id !== null && viewer.teamIds.includes(id) ? id : null;
}

/** Matches no row; written so that Postgres need not look at any. */
const NOTHING = { id: { in: [] as string[] } };

/** Which teams the rows of a list are of: the one named, else those that another id may be of, else the key's default team. */
function teamsOf(viewer: Viewer, teamId: Maybe<string>, namesAnother: boolean): readonly string[] {
  if (teamId == null && namesAnother) return viewer.teamIds;
  const id = teamOf(viewer, teamId);
  return id === null ? [] : [id];
}

/** The rows of a whole team's list. */
function ofTeam(viewer: Viewer, teamId: Maybe<string>) {
  const [id] = teamsOf(viewer, teamId, false);
  return id === undefined ? NOTHING : { teamId: id };
}

/**
 * The same, compared as texts, for the index of tasks by status is made so: that no other one can be taken. The planner does
 * not know how rows of a status are strewn over a team's list, and would go through all of it for some that are at its end.
 */
function ofTeamByStatus(viewer: Viewer, teamId: Maybe<string>) {
  const [id] = teamsOf(viewer, teamId, false);
  return id === undefined ? NOTHING : condition(isTeamAsText, id);
}

const isTeamAsText = ({ teamId }: Columns, id: string) => sql`${teamId}::text = ${id}`;

const isOwnedIn = (table: string) => (_rows: Columns, id: string, teamIds: readonly string[]) =>
  sql`exists (select from ${sql.identifier(table)} where id = ${id} and team_id = any(${sql.param(teamIds)}::uuid[]))`;

/** What rows belong to as a whole: all of them are of its team. */
const OWNERS = {
  indexId: ['Index', isOwnedIn('indexes')],
  importId: ['Import', isOwnedIn('imports')],
  integrationId: ['Integration', isOwnedIn('integrations')],
} as const;
type Owner = keyof typeof OWNERS;

/**
 * The rows of an index, import or integration that is one of the teams'. That is asked once and of none of the rows, so that
 * they are read through its own index, see above. What is deleted names nothing; rows may keep its id.
 */
function ownedRows(owner: Owner, publicId: Maybe<string>, teamIds: readonly string[]) {
  if (publicId == null) return [];
  const [type, isOwned] = OWNERS[owner];
  const id = fromPublicId(type, publicId);
  if (id === null || teamIds.length === 0) return [NOTHING];
  return [{ [owner]: id }, condition(isOwned, id, teamIds)];
}

/** Tasks keep the id of a video that is deleted, and are found by it. */
function ofVideo(publicId: Maybe<string>) {
  if (publicId == null) return [];
  const id = fromPublicId('Video', publicId);
  return [id === null ? NOTHING : { videoId: id }];
}

/** Conditions are built by column name: the list of them is what relational queries take. */
const all = <Where>(conditions: readonly object[]) => ({ AND: conditions }) as Where;

/**
 * The tasks that a viewer may see and a filter matches.
 * @throws {BadFilterError} when a text cannot be compared to any
 */
export function taskWhere(viewer: Viewer, filter: TaskFilter): TaskWhere {
  return all<TaskWhere>([...whoseTasks(viewer, filter), ...taskConditions(viewer, filter)]);
}

function whoseTasks(viewer: Viewer, filter: TaskFilter): readonly object[] {
  const { indexId, importId, videoId, integrationId, teamId } = filter;
  if ([indexId, importId, integrationId].some((id) => id != null)) return [];
  if (videoId != null) return [{ teamId: { in: [...teamsOf(viewer, teamId, true)] } }];
  // Names and ids of other systems have indexes of their own below a team.
  const isNamed = filter.fileName != null || filter.externalId != null;
  const isOfOneStatus = filter.status?.length === 1 && !isNamed;
  return [isOfOneStatus ? ofTeamByStatus(viewer, teamId) : ofTeam(viewer, teamId)];
}

/** What a filter asks of tasks that are the viewer's. */
export function taskConditions(viewer: Viewer, filter: TaskFilter): readonly object[] {
  return taskConditionsOf(teamsOf(viewer, filter.teamId, true), filter);
}

/** What a filter asks of tasks that are of these teams. */
export function taskConditionsOf(teamIds: readonly string[], filter: TaskFilter): readonly object[] {
  return [
    ...isIn('status', filter.status),
    ...ownedRows('indexId', filter.indexId, teamIds),
    ...ownedRows('importId', filter.importId, teamIds),
    ...ownedRows('integrationId', filter.integrationId, teamIds),
    ...ofVideo(filter.videoId),
    ...isIn('outcome', filter.outcome),
    ...isIn('errorCode', filter.errorCode),
    ...within('duration', filter.duration),
    ...within('width', filter.width),
    ...within('height', filter.height),
    ...within('updatedAt', filter.updatedAt),
    ...ofOrigin(filter),
  ];
}

/** What a filter asks of what a task is made with, which nothing changes later on. */
const ofOrigin = (filter: TaskFilter): readonly object[] => [
  ...matchesFileName(filter.fileName),
  ...matches('sourceKey', filter.sourceKey),
  ...equals('systemName', filter.systemName),
  ...matches('externalId', filter.externalId),
  ...within('createdAt', filter.createdAt),
];

function byId<Column extends string>(column: Column, type: IdentifiedType, publicId: Maybe<string>) {
  if (publicId == null) return [];
  const id = fromPublicId(type, publicId);
  return [id === null ? NOTHING : { [column]: id }];
}

/** What a task that matches a filter now, or ever did, meets in any case: of others nobody who watches need be told. */
export function lastingTaskConditions(filter: TaskFilter): readonly object[] {
  // Tasks stay when their import is deleted, and then are of none.
  const ofThisOrNone = byId('importId', 'Import', filter.importId).map((ofThis) => ({
    OR: [ofThis, { importId: { isNull: true as const } }],
  }));
  return [
    ...ofOrigin(filter),
    ...byId('indexId', 'Index', filter.indexId),
    ...byId('integrationId', 'Integration', filter.integrationId),
    ...ofThisOrNone,
  ];
}

/** Its conditions are several times in a statement that is repeated as long as somebody watches. */
const MAX_WATCHED_VALUES = 5_000;

/**
 * Holds the filter of a subscription to what can be watched.
 * @throws {BadFilterError} when a text cannot be compared to any, or there are too many values
 */
export function checkWatchedFilter(filter: TaskFilter): void {
  taskConditionsOf([], filter);
  const { status, outcome, errorCode, fileName, sourceKey, externalId } = filter;
  const lists = [status, outcome, errorCode, fileName?.in, sourceKey?.in, externalId?.in];
  const values = lists.reduce((sum, list) => sum + new Set(list).size, 0);
  if (values > MAX_WATCHED_VALUES)
    throw new BadFilterError(`The filter of a subscription takes at most ${MAX_WATCHED_VALUES} values.`);
}

/** The imports that a viewer may see and a filter matches; of running ones, those count as having failures that have some already. */
export function importWhere(viewer: Viewer, filter: ImportFilter): ImportWhere {
  const failures = {
    OR: [
      { hasFailures: true },
      { finishedAt: { isNull: true as const }, failedFiles: true as const },
      { finishedAt: { isNull: true as const }, tasks: { status: 'FAILED' } },
    ],
  };
  const { teamId, indexId, integrationId } = filter;
  const teamIds = teamsOf(viewer, teamId, true);
  return all<ImportWhere>([
    ...(indexId == null && integrationId == null ? [ofTeam(viewer, teamId)] : []),
    ...isIn('state', filter.state),
    ...ownedRows('integrationId', integrationId, teamIds),
    ...(filter.hasFailures == null ? [] : [filter.hasFailures ? failures : { NOT: failures }]),
    ...ownedRows('indexId', indexId, teamIds),
    ...equals('systemName', filter.systemName),
    ...within('createdAt', filter.createdAt),
  ]);
}

/** The videos that a viewer may see and a filter matches. */
export function videoWhere(viewer: Viewer, filter: VideoFilter): VideoWhere {
  return all<VideoWhere>([
    ...(filter.indexId == null ? [ofTeam(viewer, filter.teamId)] : []),
    ...ownedRows('indexId', filter.indexId, teamsOf(viewer, filter.teamId, true)),
    ...equals('systemName', filter.systemName),
    ...matches('externalId', filter.externalId),
    ...matchesFileName(filter.fileName),
    ...matches('name', filter.name),
    ...within('duration', filter.duration),
    ...within('width', filter.width),
    ...within('height', filter.height),
    ...within('createdAt', filter.createdAt),
    ...within('updatedAt', filter.updatedAt),
    ...matchesMetadata(filter.metadata),
  ]);
}

/** The indexes of one team that a viewer may see. */
export function indexWhere(viewer: Viewer, teamId: Maybe<string>): WhereOf<'indexes'> {
  return all<WhereOf<'indexes'>>([ofTeam(viewer, teamId)]);
}

/** The integrations of one team that a viewer may see. */
export function integrationWhere(viewer: Viewer, teamId: Maybe<string>): WhereOf<'integrations'> {
  return all<WhereOf<'integrations'>>([ofTeam(viewer, teamId)]);
}

/** The one row that a public id names, if it is one of the viewer's; an upload token has none but its task. */
export function ownedBy(viewer: Viewer, type: IdentifiedType, publicId: string) {
  const id = fromPublicId(type, publicId);
  return id === null || viewer.uploadToken !== undefined ? null : { id, teamId: { in: [...viewer.teamIds] } };
}

/** The task that a public id names, if it is one of the viewer's: of an upload token, the one of its upload. */
export function ownTask(viewer: Viewer, publicId: string) {
  const { uploadToken, teamIds } = viewer;
  const id = fromPublicId('Task', publicId);
  if (id === null) return null;
  const upload = uploadToken === undefined ? {} : { upload: { tokenId: uploadToken.id } };
  return { id, teamId: { in: [...teamIds] }, ...upload };
}
