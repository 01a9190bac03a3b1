import type { Metric, Metrics } from './app-metrics.ts';
import { createJobFigures, type JobFigures } from './app-metrics-jobs.ts';
import { createMediaFigures, watchStorage } from './app-metrics-parts.ts';
import { queueMetrics } from './app-metrics-queue.ts';
import type { OpenDatabase } from './app-parts.ts';
import { type Config, DEFAULT_RETRY_BASE_SECONDS } from './config.ts';
import { uuidv7 } from './db/ids.ts';
import { createChanges } from './events/changes.ts';
import { createProgressReporter } from './events/progress.ts';
import * as definitions from './jobs/definitions.ts';
import { WorkerStoppedError } from './jobs/errors.ts';
import type { ProductWork } from './jobs/handlers/deps.ts';
import { createHandlers } from './jobs/handlers/index.ts';
import { createStorageGate } from './jobs/handlers/storage-gate.ts';
import { createJobSignal } from './jobs/queue.ts';
import { createWorker } from './jobs/worker.ts';
import { createMediaPool } from './media/pool.ts';
import { createWorkPool } from './media/work-pool.ts';
import { createProber } from './prober.ts';
import type { Services } from './services/deps.ts';
import { createOriginLimit } from './services/origin-limit.ts';
import type { Setting } from './shutdown.ts';
import type { Poster } from './sources/guarded-post.ts';
import type { HttpClient } from './sources/http-client.ts';
import { createUrlFile } from './sources/url-file.ts';
import type { Storage } from './storage/adapter.ts';

/** What the work is done with. */
export interface WorkParts extends OpenDatabase, Pick<Services, 'secrets' | 'integrationSources'> {
  readonly http: HttpClient;
  readonly poster: Poster;
  readonly storage: Storage;
  readonly metrics: Metrics;
  /** false: no job is claimed; leases of jobs that calls run themselves are kept, and lost ones swept. */
  readonly claims: boolean;
  /** In place of the pool that makes products. */
  readonly work?: ProductWork | undefined;
}

/** The use-cases, and the worker that runs their jobs; who starts and stops it is the caller's business. */
export function createWork({ config, log, shutdown }: Setting, parts: WorkParts) {
  const { db, pool, notifications, http, poster, secrets, integrationSources, metrics, claims } = parts;
  const media = createMediaFigures();
  const figures = createJobFigures();
  const { storage, metrics: storageMetrics } = watchStorage(parts.storage);
  // Looks at remote files wait for their sources: they must not keep the checks of stored ones waiting.
  const looks = media.watch('looks', createMediaPool({ size: config.probeChildren, log }));
  shutdown.add(() => looks.close());
  const checks = media.watch('checks', createMediaPool({ size: config.probeChildren, log }));
  shutdown.add(() => checks.close());
  const work = media.watchDeaths('works', (onDeath) =>
    createWorkPool({ size: config.indexConcurrency, log, onDeath }),
  );
  shutdown.add(() => work.close());
  const jobs = createJobSignal(notifications);
  const services: Services = {
    db,
    jobs,
    log,
    secrets,
    integrationSources,
    storage,
    changes: createChanges(notifications),
    prober: createProber(looks),
    poster,
    urlFile: (url) => createUrlFile(http, new URL(url)),
    originLimit: createOriginLimit(),
    requirements: config.requirements,
    owner: uuidv7(),
    keepLease: (job) => {
      const lease = worker.adopt(job);
      // A call that was being stored when the stop began would run for as long as it may.
      if (shutdown.isStopping) lease.abort(new WorkerStoppedError());
      return lease;
    },
    uploadMaxBytes: config.uploadMaxBytes,
    planSeconds: config.planSeconds,
    leaseSeconds: config.leaseSeconds,
    mediaUrlSeconds: config.mediaUrlSeconds,
  };
  const progress = createProgressReporter({ db, log });
  shutdown.add(() => progress.stop());
  const gate = createStorageGate({ seconds: config.storageFullSeconds });
  const { retainDays } = config;
  const delivery = {
    timeoutSeconds: config.webhookTimeoutSeconds,
    scale: config.retryBaseSeconds / DEFAULT_RETRY_BASE_SECONDS,
  };
  const handlers = figures.watch(
    createHandlers({
      services,
      storage,
      media: checks,
      work: parts.work ?? work,
      workSettings: { pictureFormat: config.pictureFormat, ladder: config.ladder },
      progress,
      gate,
      retainDays,
      delivery,
    }),
  );
  const kinds = handlers.map(({ definition }) => definition.kind);
  const worker = createWorker({
    db,
    pool,
    signal: jobs,
    handlers,
    concurrency: claims ? concurrencyOf(config) : Object.fromEntries(kinds.map((kind) => [kind, 0])),
    log,
    owner: services.owner,
    leaseSeconds: config.leaseSeconds,
    sweepSeconds: config.sweepSeconds,
    graceSeconds: config.graceSeconds,
    retryBaseSeconds: config.retryBaseSeconds,
  });
  metrics.add([
    ...queueMetrics(pool, kinds),
    ...figures.metrics,
    ...media.metrics,
    ...storageMetrics,
    sweepFailures(figures),
  ]);
  shutdown.hurry = () => void worker.stopNow();
  const stop = () => {
    // Whoever waits at the gate would do so for as long as running jobs may.
    gate.stop();
    return worker.stop();
  };
  return { services, worker: { ...worker, stop } };
}

const sweepFailures = (figures: JobFigures): Metric => ({
  name: 'sluice_storage_sweep_failures_total',
  help: 'Sweeps of the storage that failed: what nobody needs any more stays there until one succeeds.',
  type: 'counter',
  read: () => [{ value: figures.failuresOf(definitions.sweepStorage.kind) }],
});

const concurrencyOf = (config: Config) => ({
  [definitions.planImport.kind]: 4,
  [definitions.transferVideo.kind]: config.transferConcurrency,
  [definitions.indexVideo.kind]: config.indexConcurrency,
  [definitions.processVideo.kind]: config.indexConcurrency,
  [definitions.settleContent.kind]: 2,
  [definitions.deleteObjects.kind]: 2,
  [definitions.sweepStorage.kind]: 1,
  [definitions.removeExpired.kind]: 1,
  [definitions.deleteImport.kind]: 2,
  [definitions.cancelImport.kind]: 2,
  [definitions.retryImport.kind]: 2,
  // They wait for others most of the time, and those that hang must leave room.
  [definitions.deliverWebhook.kind]: 500,
});
