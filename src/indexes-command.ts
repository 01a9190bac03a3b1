import { type ManageCommand, manage, parseCommand, toTable, UsageError } from './command-options.ts';
import { parseLadder } from './config.ts';
import { type IndexEntry, listIndexes, setIndex } from './services/manage-indexes.ts';

const USAGE = `Usage: sluice indexes list
       sluice indexes set INDEX [--ladder 360,720] [--pictures jpeg|webp]

  INDEX is an id or a name. --ladder: short sides of further renditions of HLS, in pixels; "none" for none.
  --pictures: how thumbnails, posters, storyboards and pictures of scenes are kept. "default" takes either back to what the server is set to.
`;

const OPTIONS = { ladder: { type: 'string' }, pictures: { type: 'string' } } as const;

/**
 * Lists indexes and sets how products of their videos are made.
 * @returns the exit code
 * @throws {UsageError}
 */
export async function runIndexes(command: ManageCommand): Promise<number> {
  const { positionals, values } = parseCommand(command.args, OPTIONS, USAGE);
  const [action, index, ...others] = positionals;
  if (others.length > 0) throw new UsageError(USAGE);
  if (action === 'list' && index === undefined)
    return await manage(command, async (db) => {
      process.stdout.write(toTable([HEADING, ...(await listIndexes(db)).map(toRow)]));
    });
  if (action !== 'set' || index === undefined || index === '') throw new UsageError(USAGE);
  const change = {
    ...(values.ladder === undefined ? {} : { ladder: toLadder(values.ladder) }),
    ...(values.pictures === undefined ? {} : { pictureFormat: toFormat(values.pictures) }),
  };
  return await manage(command, (db) => setIndex(db, index, change));
}

function toLadder(text: string): number[] | null {
  if (text === 'default') return null;
  const ladder = text === 'none' ? [] : parseLadder(text);
  if (ladder === null)
    throw new UsageError(
      `--ladder must be up to 8 whole numbers from 144 to 2160 with commas between them, none or default\n\n${USAGE}`,
    );
  return ladder;
}

function toFormat(text: string): 'jpeg' | 'webp' | null {
  if (text === 'default') return null;
  if (text === 'jpeg' || text === 'webp') return text;
  throw new UsageError(`--pictures must be jpeg, webp or default\n\n${USAGE}`);
}

const HEADING = ['ID', 'NAME', 'TEAM', 'LADDER', 'PICTURES'];

const toRow = ({ id, name, teamName, ladder, pictureFormat }: IndexEntry): readonly string[] => [
  id,
  name,
  teamName,
  ladder === null ? 'default' : ladder.join(',') || 'none',
  pictureFormat ?? 'default',
];
