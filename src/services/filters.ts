import type { Database } from '../db/client.ts';
import type { TaskStatus } from '../db/tables/tasks.ts';
import { BadFilterError } from './errors.ts';
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

type Maybe<T> = T | null | undefined;
type Range<T> = {
  readonly equals?: Maybe<T>;
  readonly gte?: Maybe<T>;
  readonly lte?: Maybe<T>;
  readonly lt?: Maybe<T>;
};

/** All of its conditions must hold; `contains` ignores case. */
export interface StringFilter {
  readonly equals?: Maybe<string>;
  readonly contains?: Maybe<string>;
  readonly startsWith?: Maybe<string>;
  readonly in?: Maybe<readonly string[]>;
}

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

/** The team's rows of a list: of the team named, else of the team that another id names, else of the key's default team. */
function ofTeam(viewer: Viewer, teamId: Maybe<string>, namesAnother: boolean) {
  if (teamId == null && namesAnother) return { teamId: { in: [...viewer.teamIds] } };
  const id = teamOf(viewer, teamId);
  return id === null ? NOTHING : { teamId: id };
}

function byId<Column extends string>(column: Column, type: IdentifiedType, publicId: Maybe<string>) {
  if (publicId == null) return [];
  const id = fromPublicId(type, publicId);
  return [id === null ? NOTHING : { [column]: id }];
}

/** Tasks keep the id of an integration that is deleted, which then names nothing. */
function ofIntegration(publicId: Maybe<string>) {
  const conditions = byId('integrationId', 'Integration', publicId);
  return conditions.length === 0 ? [] : [...conditions, { integration: true as const }];
}

/** Tasks keep the id of an import that was deleted just now for a moment, which names nothing by then. */
function ofImport(publicId: Maybe<string>) {
  const conditions = byId('importId', 'Import', publicId);
  return conditions.length === 0 ? [] : [...conditions, { import: true as const }];
}

/** Each value is a parameter of the statement, of which PostgreSQL takes 65,535. */
const MAX_VALUES = 10_000;

function isIn<Column extends string, T>(column: Column, values: Maybe<readonly T[]>) {
  if (values == null) return [];
  const distinct = [...new Set(values)];
  if (distinct.length > MAX_VALUES)
    throw new BadFilterError(`A list of a filter takes at most ${MAX_VALUES} values.`);
  return [{ [column]: { in: distinct } }];
}

function checkText(text: string): string {
  if (text.includes('\0') || !text.isWellFormed())
    throw new BadFilterError('A filter text must be well-formed and without U+0000.');
  return text;
}

const equals = <Column extends string>(column: Column, value: Maybe<string>) =>
  value == null ? [] : [{ [column]: checkText(value) }];

/** In a LIKE pattern % and _ stand for others: here they stand for themselves. */
const literally = (text: string) => checkText(text).replace(/[\\%_]/g, '\\$&');

function matches<Column extends string>(column: Column, filter: Maybe<StringFilter>) {
  if (filter == null) return [];
  const { contains, startsWith } = filter;
  return [
    ...equals(column, filter.equals),
    ...(contains == null ? [] : [{ [column]: { ilike: `%${literally(contains)}%` } }]),
    ...(startsWith == null ? [] : [{ [column]: { like: `${literally(startsWith)}%` } }]),
    ...isIn(column, filter.in?.map(checkText)),
  ];
}

function within<Column extends string, T>(column: Column, range: Maybe<Range<T>>) {
  if (range == null) return [];
  const bounds = { eq: range.equals, gte: range.gte, lte: range.lte, lt: range.lt };
  const given = Object.entries(bounds).filter(([, bound]) => bound != null);
  return given.map(([operator, bound]) => ({ [column]: { [operator]: bound } }));
}

/** Conditions are built by column name: the list of them is what relational queries take. */
const all = <Where>(conditions: readonly object[]) => ({ AND: conditions }) as Where;

/**
 * The tasks that a viewer may see and a filter matches.
 * @throws {BadFilterError} when a text cannot be compared to any
 */
export function taskWhere(viewer: Viewer, filter: TaskFilter): TaskWhere {
  const { indexId, importId, videoId, integrationId } = filter;
  const namesAnother = [indexId, importId, videoId, integrationId].some((id) => id != null);
  return all<TaskWhere>([ofTeam(viewer, filter.teamId, namesAnother), ...taskConditions(filter)]);
}

/** What a filter asks of tasks, apart from whose they are. */
export function taskConditions(filter: TaskFilter): readonly object[] {
  return [
    ...isIn('status', filter.status),
    ...byId('indexId', 'Index', filter.indexId),
    ...ofImport(filter.importId),
    ...byId('videoId', 'Video', filter.videoId),
    ...ofIntegration(filter.integrationId),
    ...matches('fileName', filter.fileName),
    ...matches('sourceKey', filter.sourceKey),
    ...equals('systemName', filter.systemName),
    ...matches('externalId', filter.externalId),
    ...isIn('outcome', filter.outcome),
    ...isIn('errorCode', filter.errorCode),
    ...within('duration', filter.duration),
    ...within('width', filter.width),
    ...within('height', filter.height),
    ...within('createdAt', filter.createdAt),
    ...within('updatedAt', filter.updatedAt),
  ];
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
  return all<ImportWhere>([
    ofTeam(viewer, filter.teamId, filter.indexId != null || filter.integrationId != null),
    ...isIn('state', filter.state),
    ...byId('integrationId', 'Integration', filter.integrationId),
    ...(filter.hasFailures == null ? [] : [filter.hasFailures ? failures : { NOT: failures }]),
    ...byId('indexId', 'Index', filter.indexId),
    ...equals('systemName', filter.systemName),
    ...within('createdAt', filter.createdAt),
  ]);
}

/** The videos that a viewer may see and a filter matches. */
export function videoWhere(viewer: Viewer, filter: VideoFilter): VideoWhere {
  return all<VideoWhere>([
    ofTeam(viewer, filter.teamId, filter.indexId != null),
    ...byId('indexId', 'Index', filter.indexId),
    ...equals('systemName', filter.systemName),
    ...matches('externalId', filter.externalId),
    ...matches('fileName', filter.fileName),
    ...matches('name', filter.name),
    ...within('duration', filter.duration),
    ...within('width', filter.width),
    ...within('height', filter.height),
    ...within('createdAt', filter.createdAt),
    ...within('updatedAt', filter.updatedAt),
  ]);
}

/** The indexes of one team that a viewer may see. */
export function indexWhere(viewer: Viewer, teamId: Maybe<string>): WhereOf<'indexes'> {
  return all<WhereOf<'indexes'>>([ofTeam(viewer, teamId, false)]);
}

/** The integrations of one team that a viewer may see. */
export function integrationWhere(viewer: Viewer, teamId: Maybe<string>): WhereOf<'integrations'> {
  return all<WhereOf<'integrations'>>([ofTeam(viewer, teamId, false)]);
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
