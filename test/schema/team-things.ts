import { randomUUID } from 'node:crypto';
import { insertFinishedImport, type Rows, type TeamRows } from '../support/rows.ts';

const PREFIXES = {
  team: 'team',
  index: 'idx',
  integration: 'int',
  import: 'imp',
  task: 'task',
  video: 'vid',
  file: 'file',
  upload: 'upl',
} as const;

/** What there are ids of. */
export type Kind = keyof typeof PREFIXES;
export const KINDS = Object.keys(PREFIXES) as readonly Kind[]; // Object.keys forgets them

/** The public ids of one team's things, one of each. */
export type Things = Readonly<Record<Kind, string>>;

const toThings = (rowIds: Readonly<Record<Kind, string>>): Things =>
  // One of each kind, as there is a prefix for each.
  Object.fromEntries(KINDS.map((kind) => [kind, `${PREFIXES[kind]}_${rowIds[kind]}`])) as Things;

/** Ids of nothing. */
export const noThings = (): Things => {
  const ids = Object.fromEntries(KINDS.map((kind) => [kind, randomUUID()]));
  return toThings(ids as Record<Kind, string>); // one of each
};

/** Gives a team one of each, which belong together: what is found by one is found by the others. */
export async function makeThings(rows: Rows, team: TeamRows, folder: string): Promise<Things> {
  const importId = await insertFinishedImport(rows, team, { tasks: 3 });
  const [integration, file, upload] = [randomUUID(), randomUUID(), randomUUID()];
  await rows.all(
    `insert into integrations (id, team_id, name, kind, folder) values ($1, $2, 'Clips', 'FOLDER', $3)`,
    [integration, team.teamId, { path: folder }],
  );
  await rows.all(
    `update imports set source = 'OBJECTS', system_name = null, integration_id = $2 where id = $1`,
    [importId, integration],
  );
  await rows.all(`update tasks set integration_id = $2, source_key = ordinal::text where import_id = $1`, [
    importId,
    integration,
  ]);
  await rows.all(
    `insert into failed_files (id, team_id, import_id, ordinal, file_name, name, error_code, error_message, error_retryable)
     values ($1, $2, $3, 9, 'bad.mp4', 'bad', 'SOURCE_NOT_FOUND', 'not there', false)`,
    [file, team.teamId, importId],
  );
  await rows.all(
    `insert into uploads (id, team_id, length, expires_at) values ($1, $2, 10, now() + interval '1 hour')`,
    [upload, team.teamId],
  );
  const task = await rows.one<{ id: string; video_id: string }>(
    'select id, video_id from tasks where import_id = $1 and ordinal = 0',
    [importId],
  );
  const { teamId, indexId: index } = team;
  return toThings({
    ...{ team: teamId, index, integration, import: importId, file, upload },
    ...{ task: task.id, video: task.video_id },
  });
}
