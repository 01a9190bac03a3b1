#!/usr/bin/env node
import type { Logger } from 'pino';
import { type App, startApp, stopRunningApps } from './app.ts';
import { type Config, readConfig } from './config.ts';
import { createLog } from './log.ts';

const USAGE = `Usage: sluice [all | migrate | demo [--exit] | help]

  all       API and worker in one process (what is done without a command)
  migrate   brings the database of DATABASE_URL up to date, and ends
  demo      imports sample clips and shows their progress; --exit ends after the outcomes

Settings come from the environment; README.md lists them.
`;

/** Signals that come within this time of the first are the same one: a terminal and npm both send it. */
const SAME_SIGNAL_MS = 2_000;

async function main(args: readonly string[]): Promise<number> {
  const [command = 'all', ...options] = args;
  switch (command) {
    case 'all':
      return await runAll(readConfig());
    case 'migrate':
      return await (await import('./migrate-command.ts')).runMigrate(readConfig(), createLog);
    case 'demo':
      return await (await import('./demo-command.ts')).runDemoCommand(readConfig, {
        createLog,
        exit: options.includes('--exit'),
        untilStopped,
      });
    case 'help':
    case '--help':
      process.stdout.write(USAGE);
      return 0;
    default:
      process.stderr.write(`sluice: there is no command "${command}"\n\n${USAGE}`);
      return 1;
  }
}

async function runAll(config: Config): Promise<number> {
  const log = createLog(config);
  const app = await startApp(config, log);
  log.info({ url: app.url }, 'Sluice is ready');
  if (app.firstKey !== null && config.apiKey === undefined) showFirstKey(app.firstKey);
  if (!config.production) process.stdout.write(`GraphiQL: ${app.url}/graphql${keyFragment(app, config)}\n`);
  await untilStopped(app, log);
  return 0;
}

/** The one time that the key is shown: on stdout, not in the log. */
function showFirstKey(key: string): void {
  process.stdout.write(`\nYour ADMIN key, shown only now:\n\n  ${key}\n\n`);
}

const keyFragment = (app: App, config: Config) =>
  app.firstKey !== null && config.apiKey === undefined ? `#key=${app.firstKey}` : '';

/** Waits for a signal to stop, and stops; a later second signal hands running jobs back at once. */
async function untilStopped(app: App, log: Logger): Promise<void> {
  await new Promise<void>((resolve) => {
    let first: number | null = null;
    const onSignal = (signal: NodeJS.Signals) => {
      if (first === null) {
        first = Date.now();
        log.info({ signal }, 'stopping');
        resolve();
      } else if (Date.now() - first > SAME_SIGNAL_MS) app.hurry();
    };
    process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
  });
  await app.stop();
  log.info('stopped');
}

/** What people can act on is said in one line; anything else is a fault of ours and comes with its stack. */
function describe(error: unknown): string {
  const expected = [
    'ConfigError',
    'DatabaseStartError',
    'DatabaseUnusableError',
    'SchemaTooNewError',
    'DataDirLockedError',
    'ListenError',
  ];
  if (error instanceof Error && expected.includes(error.name)) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** How long a process that ends for a fault of its own has to stop its parts, our own PostgreSQL among them. */
const LAST_STOP_MS = 15_000;

let ending = false;

/** Ends the process after something that nobody expected: a process in an unknown state does not go on. */
function end(error: unknown): void {
  if (ending) return;
  ending = true;
  process.stderr.write(`sluice: ${describe(error)}\n`);
  setTimeout(() => process.exit(1), LAST_STOP_MS).unref();
  void stopRunningApps()
    .catch(() => {})
    .then(() => process.exit(1));
}

process.on('unhandledRejection', end).on('uncaughtException', end);
// Whoever read our output has gone (`| head`): that is a reason to stop, not a fault.
process.stdout.on('error', end);
process.stderr.on('error', () => {});

main(process.argv.slice(2)).then((code) => process.exit(code), end);
