import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { startOwnPostgres } from '../support/own-postgres.ts';
import { type ChaosOptions, readOptions, USAGE } from './options.ts';
import { type Fault, planFaults } from './plan-faults.ts';
import { formatReport, formatTakeOvers } from './report.ts';
import { createDatabase, type RunResult, runImport } from './run-import.ts';
import { runWebhooks, type WebhookResult, type WebhookRun } from './run-webhooks.ts';
import { serveSmallVideos } from './small-videos.ts';

// As anywhere but for fsync, which only a machine that is cut off needs.
const POSTGRES_SETTINGS = { full_page_writes: 'on', max_connections: '300', shared_buffers: '128MB' };
const TELL_MS = 10_000;
const IMPORTS_PER_KILL = 5;

/** Both runs, one after the other, with a PostgreSQL and an origin of their own. @returns whether all promises were kept */
async function runChaos(options: ChaosOptions, signal: AbortSignal): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-chaos-'));
  const closing: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    const videos = await serveSmallVideos();
    closing.push(videos.close);
    const postgres = await startOwnPostgres(POSTGRES_SETTINGS);
    closing.push(postgres.stop);
    tell(
      `seed ${options.seed}; ${options.videos} videos of ${videos.bytesEach} bytes, ${options.workers} workers`,
    );
    const common = { postgres, videos, folder, count: options.videos, workers: options.workers, signal };
    const run = async (name: string, faults: readonly Fault[]): Promise<RunResult> => {
      try {
        return await runImport({ ...common, name, faults, onEnded: teller(name, options.videos) });
      } finally {
        await keepLogs(folder, name, options.dir);
      }
    };
    const clean = await run('undisturbed', []);
    tell(`undisturbed: ${clean.seconds.toFixed(1)} s`);
    const chaos = await run('disturbed', planFaults(options, options.seed));
    await keepTakeOvers(chaos, options.dir);
    process.stdout.write(`\n${formatReport(options, clean, chaos)}\n\nseed ${options.seed}\n`);
    return clean.violations.length + chaos.violations.length === 0;
  } finally {
    for (const close of closing.reverse()) await close().catch((error: unknown) => tell(String(error)));
  }
}

async function runWebhooksKeepingLogs(run: WebhookRun, dir: string | null): Promise<WebhookResult> {
  try {
    return await runWebhooks(run);
  } finally {
    await keepLogs(dirname(run.folder), basename(run.folder), dir);
  }
}

/** Imports whose ends are told of, with a PostgreSQL and an origin of their own. @returns whether all promises were kept */
async function runWebhookChaos({ webhooks, dir }: ChaosOptions, signal: AbortSignal): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-chaos-'));
  const closing: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    const videos = await serveSmallVideos();
    closing.push(videos.close);
    const postgres = await startOwnPostgres(POSTGRES_SETTINGS);
    closing.push(postgres.stop);
    const kills = Math.ceil(webhooks / IMPORTS_PER_KILL);
    const home = {
      folder: join(folder, 'webhooks'),
      databaseUrl: await createDatabase(postgres, 'webhooks'),
    };
    const run = { ...home, videos, imports: webhooks, kills, signal };
    const { violations, messages } = await runWebhooksKeepingLogs(run, dir);
    tell(
      `${webhooks} imports, ${kills} kills, ${messages} messages came in; violations: ${violations.length}`,
    );
    for (const violation of violations) tell(`  ${violation}`);
    return violations.length === 0;
  } finally {
    for (const close of closing.reverse()) await close().catch((error: unknown) => tell(String(error)));
  }
}

function tell(text: string): void {
  process.stdout.write(`${text}\n`);
}

function teller(name: string, videos: number): (ended: number) => void {
  let toldAt = 0;
  return (ended) => {
    if (performance.now() < toldAt + TELL_MS) return;
    toldAt = performance.now();
    tell(`  ${name}: ${ended} of ${videos}`);
  };
}

async function keepLogs(folder: string, name: string, dir: string | null): Promise<void> {
  if (dir === null) return;
  await mkdir(resolve(dir, name), { recursive: true });
  await cp(join(folder, name, 'logs'), resolve(dir, name), { recursive: true }).catch(() => {});
}

async function keepTakeOvers({ takeOvers }: RunResult, dir: string | null): Promise<void> {
  if (dir !== null) await writeFile(resolve(dir, 'take-overs.tsv'), formatTakeOvers(takeOvers));
}

async function main(args: readonly string[]): Promise<number> {
  let options: ChaosOptions | null;
  try {
    options = readOptions(args);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n\n${USAGE}`);
    return 1;
  }
  if (options === null) {
    process.stdout.write(USAGE);
    return 0;
  }
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () => stop.abort(new Error(`stopped by ${name}`)));
  try {
    const isKept =
      options.webhooks > 0 ? runWebhookChaos(options, stop.signal) : runChaos(options, stop.signal);
    return (await isKept) ? 0 : 1;
  } catch (error) {
    process.stderr.write(
      `seed ${options.seed}: ${error instanceof Error ? (error.stack ?? error.message) : error}\n`,
    );
    return 1;
  }
}

process.exit(await main(process.argv.slice(2)));
