import { type ManageCommand, manage, parseCommand, toTable, UsageError } from './command-options.ts';
import { createTeam, listTeams, setTeam, type TeamEntry, type TeamLimits } from './services/manage-teams.ts';
import { revokeMediaUrls } from './services/media-epochs.ts';

const USAGE = `Usage: sluice teams create NAME [--max-videos N] [--max-bytes N] [--max-seconds N]
       sluice teams set TEAM [--name NAME] [--max-videos N] [--max-bytes N] [--max-seconds N]
       sluice teams revoke-urls TEAM
       sluice teams list

  TEAM is an id or a name. N is what all videos of the team may come to; "none" takes a limit away. Lower limits take
  nothing away. create makes a default index, too, and prints the id of the team. revoke-urls ends all media URLs of the
  team that were handed out so far, and says so; those of later answers hold.
`;

const OPTIONS = {
  name: { type: 'string' },
  'max-videos': { type: 'string' },
  'max-bytes': { type: 'string' },
  'max-seconds': { type: 'string' },
} as const;

/**
 * Makes, changes and lists teams, and calls back media URLs.
 * @returns the exit code
 * @throws {UsageError}
 */
export async function runTeams(command: ManageCommand): Promise<number> {
  const { positionals, values } = parseCommand(command.args, OPTIONS, USAGE);
  const [action, team, ...others] = positionals;
  if (others.length > 0) throw new UsageError(USAGE);
  if (action === 'list' && team === undefined)
    return await manage(command, async (db) => {
      process.stdout.write(toTable([HEADING, ...(await listTeams(db)).map(toRow)]));
    });
  if (team === undefined || team === '') throw new UsageError(USAGE);
  if (action === 'revoke-urls' && Object.keys(values).length === 0)
    return await manage(command, async (db) => {
      const { id, name } = await revokeMediaUrls(db, team);
      process.stdout.write(`${name} (${id}): all media URLs handed out so far have ended\n`);
    });
  const limits: TeamLimits = {
    maxVideos: toLimit('--max-videos', values['max-videos'], MAX_VIDEOS),
    maxBytes: toLimit('--max-bytes', values['max-bytes'], Number.MAX_SAFE_INTEGER),
    maxSeconds: toLimit('--max-seconds', values['max-seconds'], MAX_SECONDS),
  };
  if (action === 'set')
    return await manage(command, (db) => setTeam(db, team, { ...limits, name: values.name }));
  if (action !== 'create' || values.name !== undefined) throw new UsageError(USAGE);
  return await manage(command, async (db) => {
    process.stdout.write(`${await createTeam(db, team, limits)}\n`);
  });
}

/** What the API can tell as an Int. */
const MAX_VIDEOS = 2_147_483_647;
/** In milliseconds still exact. */
const MAX_SECONDS = 1e12;

function toLimit(option: string, text: string | undefined, maximum: number): number | null | undefined {
  if (text === undefined) return undefined;
  if (text === 'none') return null;
  const limit = Number(text);
  if (!/^\d+$/.test(text) || limit > maximum)
    throw new UsageError(`${option} must be a whole number, at most ${maximum}, or none\n\n${USAGE}`);
  return limit;
}

const HEADING = ['ID', 'NAME', 'VIDEOS', 'OF', 'BYTES', 'OF', 'SECONDS', 'OF'];
const of = (limit: number | null): string => String(limit ?? 'any');

const toRow = (team: TeamEntry): readonly string[] => [
  team.id,
  team.name,
  String(team.videos),
  of(team.maxVideos),
  String(team.bytes),
  of(team.maxBytes),
  String(team.seconds),
  of(team.maxSeconds),
];
