import { type ManageCommand, manage, parseCommand, toTable, UsageError } from './command-options.ts';
import { createKey, type KeyEntry, listKeys, revokeKey } from './services/manage-keys.ts';
import { SCOPES, type Scope } from './services/viewer.ts';

const USAGE = `Usage: sluice keys create NAME [--scope READ|WRITE|ADMIN] [--team TEAM]… [--default-team TEAM] [--expires DAYS|DATE]
       sluice keys list
       sluice keys revoke KEY

  TEAM and KEY are ids or names. A key has the scope READ unless another is given: READ reads, WRITE imports as well,
  ADMIN changes indexes and integrations as well. Without a team it is for the oldest one; of several, the first is the
  default. create prints the key, which cannot be shown again.
`;

const OPTIONS = {
  scope: { type: 'string', default: 'READ' },
  team: { type: 'string', multiple: true, default: [] as string[] },
  'default-team': { type: 'string' },
  expires: { type: 'string' },
} as const;

/**
 * Makes, lists and revokes API keys.
 * @returns the exit code
 * @throws {UsageError}
 */
export async function runKeys(command: ManageCommand): Promise<number> {
  const { positionals, values } = parseCommand(command.args, OPTIONS, USAGE);
  const [action, name, ...others] = positionals;
  if (others.length > 0) throw new UsageError(USAGE);
  if (action === 'list' && name === undefined)
    return await manage(command, async (db) => {
      process.stdout.write(toTable([HEADING, ...(await listKeys(db)).map(toRow)]));
    });
  if (!name) throw new UsageError(USAGE);
  if (action === 'revoke') return await manage(command, (db) => revokeKey(db, name));
  if (action !== 'create') throw new UsageError(USAGE);
  const given = {
    name,
    scope: toScope(values.scope),
    teams: values.team,
    defaultTeam: values['default-team'],
    expiresAt: toExpiry(values.expires),
  };
  return await manage(command, async (db) => {
    process.stdout.write(`${await createKey(db, given)}\n`);
  });
}

function toScope(text: string): Scope {
  const scope = SCOPES.find((known) => known === text.toUpperCase());
  if (scope === undefined) throw new UsageError(`--scope must be one of ${SCOPES.join(', ')}\n\n${USAGE}`);
  return scope;
}

const DAY_MS = 86_400_000;

function toExpiry(text: string | undefined): Date | null {
  if (text === undefined) return null;
  const at = /^\d+$/.test(text) ? new Date(Date.now() + Number(text) * DAY_MS) : new Date(text);
  if (!(at.getTime() > Date.now()) || at.getUTCFullYear() > 9999)
    throw new UsageError(
      `--expires must be a number of days, or a date to come such as 2030-01-31\n\n${USAGE}`,
    );
  return at;
}

const HEADING = ['ID', 'NAME', 'SCOPE', 'TEAMS', 'CREATED', 'EXPIRES', 'STATE'];

const toRow = (key: KeyEntry): readonly string[] => [
  key.id,
  key.name,
  key.scopes.join(','),
  key.teams.join(', '),
  key.createdAt.toISOString(),
  key.expiresAt?.toISOString() ?? 'never',
  key.state,
];
