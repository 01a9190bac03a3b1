import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { type App, startApp } from './app.ts';
import type { Config } from './config.ts';
import { runDemo } from './demo/demo.ts';
import { startOrigin } from './demo/origin.ts';
import { makeApiKey } from './services/first-start.ts';

/** What a connection to the origin of the sample clips carries: slow enough to see the bars move. */
const BYTES_PER_SECOND = 1_500_000;

interface DemoCommand {
  readonly createLog: (config: Pick<Config, 'logLevel'>) => Logger;
  /** Ends after the outcomes instead of serving on. */
  readonly exit: boolean;
  readonly untilStopped: (app: App, log: Logger) => Promise<void>;
}

/**
 * Runs a whole Sluice on a data folder of its own, imports sample clips through its public API and shows what happens.
 * @returns the exit code: 0 when every clip ended as it should
 */
export async function runDemoCommand(
  readConfig: (environment: NodeJS.ProcessEnv) => Config,
  { createLog, exit, untilStopped }: DemoCommand,
): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-demo-'));
  // Started by root, PostgreSQL runs under another account, which has to get through.
  await chmod(folder, 0o711);
  const clips = await mkdtemp(join(tmpdir(), 'sluice-demo-clips-'));
  const origin = await startOrigin(clips, { bytesPerSecond: BYTES_PER_SECOND });
  const apiKey = makeApiKey();
  const config = readConfig({
    PORT: exit ? '0' : '4000',
    SLUICE_DATA_DIR: folder,
    SLUICE_API_KEY: apiKey,
    SLUICE_LOG_LEVEL: 'warn',
    SLUICE_ALLOW_ADDRESSES: origin.allowAddress,
  });
  const log = createLog(config);
  const stop = stopOnSignal();
  let app: App | null = null;
  try {
    app = await startApp(config, log);
    const expected = await runDemo({
      endpoint: `${app.url}/graphql`,
      apiKey,
      origin,
      out: process.stdout,
      signal: stop.signal,
      ...(exit ? {} : { graphiqlUrl: `${app.url}/graphql#key=${apiKey}` }),
    });
    stop.ignore();
    if (!exit) await untilStopped(app, log);
    return expected ? 0 : 1;
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    return 130; // what a shell expects of a program that was interrupted
  } finally {
    await app?.stop();
    await origin.close();
    await rm(folder, { recursive: true, force: true });
    await rm(clips, { recursive: true, force: true });
  }
}

/** A signal that is aborted by Ctrl-C and the like, until it is told to ignore them again. */
function stopOnSignal(): { readonly signal: AbortSignal; ignore(): void } {
  const controller = new AbortController();
  const abort = () => controller.abort();
  process.once('SIGINT', abort).once('SIGTERM', abort);
  return {
    signal: controller.signal,
    ignore: () => void process.off('SIGINT', abort).off('SIGTERM', abort),
  };
}
