#!/usr/bin/env node
import type { Logger } from 'pino';
import type { App } from './app.ts';
import type { Running } from './app-open.ts';
import { logWarnings } from './app-warnings.ts';
import { type Config, readConfig } from './config.ts';
import { createLog as openLog } from './log.ts';
import { stopRunningApps } from './shutdown.ts';

const USAGE = `Usage: sluice [all | api | worker | migrate | teams … | indexes … | keys … | rotate-secrets | demo [--exit] | help]

  all              API and worker in one process (what is done without a command)
  api              the API alone; any number of processes on one DATABASE_URL
  worker           a worker alone, likewise; it answers /health and /metrics on SLUICE_HEALTH_PORT
  migrate          brings the database of DATABASE_URL up to date, and ends
  teams            create, set or list: teams, and what their videos may come to
  indexes          list or set: how streams and pictures of their videos are made
  keys             create, list or revoke: API keys, their scopes and teams
  rotate-secrets   encrypts stored secrets with SLUICE_SECRET_KEY that one of SLUICE_PREVIOUS_SECRET_KEYS has encrypted
  demo             imports sample clips and shows their progress; --exit ends after the outcomes

Settings come from the environment; README.md lists them.
`;

/** Signals that come within this time of the first are the same one: a terminal and npm both send it. */
const SAME_SIGNAL_MS = 2_000;

async function main(args: readonly string[]): Promise<number> {
  const [command = 'all', ...options] = args;
  switch (command) {
    case 'all':
    case 'api':
      return await runApi(readConfig(), command);
    case 'worker':
      return await runWorker(readConfig());
    case 'migrate':
      return await (await import('./migrate-command.ts')).runMigrate(readConfig(), createLog);
    case 'teams':
      return await (await import('./teams-command.ts')).runTeams({ args: options, readConfig, createLog });
    case 'indexes':
      return await (await import('./indexes-command.ts')).runIndexes({
        args: options,
        readConfig,
        createLog,
      });
    case 'keys':
      return await (await import('./keys-command.ts')).runKeys({ args: options, readConfig, createLog });
    case 'rotate-secrets':
      return await (await import('./rotate-secrets-command.ts')).runRotateSecrets(readConfig(), createLog);
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

/** The log, which is also told what Node would print. */
function createLog(config: Pick<Config, 'logLevel'>): Logger {
  const log = openLog(config);
  logWarnings(log);
  return log;
}

async function runApi(config: Config, role: 'all' | 'api'): Promise<number> {
  const log = createLog(config);
  const signals = listenForSignals(log);
  const app = await (await import('./app.ts')).startApp(config, log, role);
  log.info({ url: app.url }, 'Sluice is ready');
  if (app.firstKey !== null && config.apiKey === undefined) showFirstKey(app.firstKey);
  if (!config.production) process.stdout.write(`GraphiQL: ${app.url}/graphql${keyFragment(app, config)}\n`);
  await signals.stop(app);
  return 0;
}

async function runWorker(config: Config): Promise<number> {
  const log = createLog(config);
  const signals = listenForSignals(log);
  // Without the API and its schema, which a worker has no use for.
  const worker = await (await import('./app-worker.ts')).startWorker(config, log);
  log.info('the worker is ready');
  await signals.stop(worker);
  return 0;
}

/** The one time that the key is shown: on stdout, not in the log. */
function showFirstKey(key: string): void {
  process.stdout.write(`\nYour ADMIN key, shown only now:\n\n  ${key}\n\n`);
}

const keyFragment = (app: App, config: Config) =>
  app.firstKey !== null && config.apiKey === undefined ? `#key=${app.firstKey}` : '';

interface Signals {
  /** Waits for a signal to stop, unless one has come already, and stops. */
  stop(app: Running): Promise<void>;
}

/**
 * Listens for signals to stop, from now on: one that comes during the start is heeded after it. A later second one hands
 * running jobs back at once, or breaks off the start.
 */
function listenForSignals(log: Logger): Signals {
  let first: number | null = null;
  let started: Running | null = null;
  const signaled = new Promise<void>((resolve) => {
    const onSignal = (signal: NodeJS.Signals) => {
      if (first === null) {
        first = Date.now();
        log.info({ signal }, 'stopping');
        resolve();
      } else if (Date.now() - first > SAME_SIGNAL_MS) {
        if (started === null) end(new Error(`${signal} has come again before the start was over`));
        else started.hurry();
      }
    };
    process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
  });
  return {
    async stop(app) {
      started = app;
      await signaled;
      await app.stop();
      log.info('stopped');
    },
  };
}

const untilStopped = (app: App, log: Logger): Promise<void> => listenForSignals(log).stop(app);

/** What people can act on is said in one line; anything else is a fault of ours and comes with its stack. */
function describe(error: unknown): string {
  const expected = [
    'ConfigError',
    'UsageError',
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
