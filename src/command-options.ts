import { type ParseArgsConfig, parseArgs } from 'node:util';
import type { Logger } from 'pino';
import { withDatabase } from './command-database.ts';
import type { Config } from './config.ts';
import { createDatabase, type Database } from './db/client.ts';
import { ManageError } from './services/errors.ts';

/** A command was called as it cannot be: what is wrong, and how it is called. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

type Options = NonNullable<ParseArgsConfig['options']>;

/**
 * Reads the arguments of a command.
 * @throws {UsageError} for what it does not take
 */
export function parseCommand<Given extends Options>(args: readonly string[], options: Given, usage: string) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    const said = error instanceof Error ? error.message.split('. ')[0] : String(error);
    throw new UsageError(`${said}\n\n${usage}`);
  }
}

/** What a command that manages the database is given. */
export interface ManageCommand {
  readonly args: readonly string[];
  readonly readConfig: () => Config;
  readonly createLog: (config: Config) => Logger;
}

/**
 * Runs what a command does in the database, beside a server or without one, and says in one line why it cannot be done.
 * @returns the exit code
 */
export async function manage(
  { readConfig, createLog }: ManageCommand,
  work: (db: Database) => Promise<void>,
): Promise<number> {
  const config = readConfig();
  const log = createLog(config);
  try {
    await withDatabase({ config, log, besideServer: true }, async (url) => {
      const client = createDatabase({ url, log, max: 1, applicationName: 'sluice manage' });
      try {
        await work(client.db);
      } finally {
        await client.close();
      }
    });
    return 0;
  } catch (error) {
    if (!(error instanceof ManageError)) throw error;
    process.stderr.write(`sluice: ${error.message}\n`);
    return 1;
  }
}

/** Rows as columns of equal width, for people; the first row is the heading. */
export function toTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  return rows
    .map((row) => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  '))
    .map((line) => `${line.trimEnd()}\n`)
    .join('');
}
