import { eq } from 'drizzle-orm';
import type { Transaction } from '../db/client.ts';
import { uuidv7 } from '../db/ids.ts';
import { imports } from '../db/tables/imports.ts';
import { integrations } from '../db/tables/integrations.ts';
import { transaction } from '../db/transaction.ts';
import { planImport as planImportJob } from '../jobs/definitions.ts';
import type { ClaimedJob } from '../jobs/job.ts';
import { enqueueClaimed } from '../jobs/queue.ts';
import type { ListingPage } from '../sources/source.ts';
import type { Services } from './deps.ts';
import { ImportAlreadyRunningError, NotFoundError } from './errors.ts';
import { firstRun } from './first-run.ts';
import { idempotencyOf, madeBefore, usedKey, useKey } from './idempotency.ts';
import { findTarget, type Target } from './import-target.ts';
import { keepIndex } from './indexes.ts';
import { storePage } from './list-entries.ts';
import { firstPage } from './list-first-page.ts';
import { planImport } from './plan-import.ts';
import { runningImport } from './running-import.ts';
import { sealUrl } from './source-urls.ts';
import {
  integrationIdOf,
  parseStartImport,
  type StartImport,
  sourceKindOf,
  uploadsOf,
} from './start-import-input.ts';
import { insertEntries } from './store-entries.ts';
import { assertRoom } from './usage.ts';
import { useUploads } from './use-uploads.ts';
import type { Viewer } from './viewer.ts';
import { checkWebhook } from './webhook.ts';

/**
 * Starts an import: stores every entry that is named, or the first page of a listing, and the plan-import job in one
 * transaction, then plans for as long as the time budget lasts. What is undecided then is judged by a worker.
 * @param input as the API takes it, not checked yet
 * @returns the row id of the import: a new one, or that of the first call with the same idempotency key
 * @throws {InvalidInputError} with everything that is wrong; nothing is stored
 * @throws {NotFoundError} when an id names nothing that the viewer reaches
 * @throws {UsageLimitExceededError} when a limit of the team is reached
 * @throws {IdempotencyConflictError} when the idempotency key was used with another input
 * @throws {ImportAlreadyRunningError} when the integration is being imported from already
 * @throws {SourceUnavailableError} when the integration cannot be listed, and trying later would not change that
 */
export async function startImport(services: Services, viewer: Viewer, input: unknown): Promise<string> {
  const parsed = parseStartImport(input);
  const asked = { ...parsed, integration: integrationIdOf(parsed), uploads: uploadsOf(parsed) };
  const target = await findTarget(services.db, viewer, asked).catch(async (error: unknown) => {
    const made = error instanceof NotFoundError ? await madeBefore(services.db, viewer, parsed) : null;
    if (made?.importId) return made.importId;
    throw error;
  });
  if (typeof target === 'string') return target;
  const started = Date.now();
  const key = idempotencyOf(target, parsed);
  const used = await usedKey(services.db, key);
  if (used?.importId) return used.importId;
  await assertRoom(services.db, target.teamId);
  await checkWebhook(services, parsed);
  let page: ListingPage | null;
  try {
    page = await firstPage(services, target, parsed.from.integration);
  } catch (error) {
    // The first call with the same key may have stored its import meanwhile: it is the one that runs.
    const since = await usedKey(services.db, key);
    if (since?.importId) return since.importId;
    throw error;
  }
  const stored = await storeImport(services, { target, input: parsed, page });
  if (stored.job === null) return stored.importId;
  services.changes.announce({ teamId: target.teamId, importId: stored.importId });
  const { job } = stored;
  await firstRun(services, job, {
    budgetMs: services.planSeconds * 1000 - (Date.now() - started),
    work: (signal) => planImport(services, job, { signal }),
  });
  return stored.importId;
}

interface Stored {
  readonly importId: string;
  /** The plan-import job, claimed by this process; null when a call before this one has made the import. */
  readonly job: ClaimedJob | null;
}

interface NewImport {
  readonly target: Target;
  readonly input: StartImport;
  /** The first page of a listing, if there is one and it came. */
  readonly page: ListingPage | null;
}

async function storeImport(services: Services, given: NewImport): Promise<Stored> {
  const { target, input } = given;
  const key = idempotencyOf(target, input);
  return await transaction(services.db, async (tx) => {
    const used = await usedKey(tx, key);
    if (used?.importId) return { importId: used.importId, job: null };
    if (!(await keepIndex(tx, target.index.id))) throw new NotFoundError('index', ['input', 'indexId']);
    const isSame = await lockIntegration(tx, given);
    const importId = await insertImport(tx, services, given);
    await useUploads(tx, target.uploads, importId);
    await useKey(tx, key, { importId });
    await insertAllEntries(tx, services, { ...given, page: isSame ? given.page : null, importId });
    const job = await enqueueClaimed(tx, planImportJob, {
      subjectId: importId,
      teamId: target.teamId,
      payload: {},
      owner: services.owner,
      leaseSeconds: services.leaseSeconds,
    });
    return { importId, job };
  });
}

/** Keeps the integration as it is until the import is stored. @returns whether it is as it was when it was listed */
async function lockIntegration(tx: Transaction, { target, input }: NewImport): Promise<boolean> {
  const { integration } = target;
  if (integration === null) return true;
  const [row] = await tx
    .select({ updatedAt: integrations.updatedAt })
    .from(integrations)
    .where(eq(integrations.id, integration.id))
    .for('key share');
  if (!row) throw new NotFoundError('integration', integrationIdOf(input)?.path ?? []);
  return row.updatedAt.getTime() === integration.updatedAt.getTime();
}

/** Stores the row; two who would import from the same integration at the same instant meet at its constraint. */
async function insertImport(
  tx: Transaction,
  services: Services,
  { target, input }: NewImport,
): Promise<string> {
  const { integration } = target;
  const { videos, objects } = input.from;
  const [row] = await tx
    .insert(imports)
    .values({
      id: uuidv7(),
      teamId: target.teamId,
      indexId: target.index.id,
      source: sourceKindOf(input),
      integrationId: integration?.id ?? null,
      prefix: input.from.integration?.prefix ?? null,
      listed: input.from.integration == null,
      found: videos?.videos.length ?? objects?.objects.length ?? 0,
      systemName: videos?.systemName ?? null,
      incremental: input.incremental,
      retryFailed: input.retryFailed,
      fullIngestion: input.fullIngestion,
      enableVideoStream: input.enableVideoStream,
      metadata: input.metadata ?? null,
      context: input.context ?? null,
      webhookUrl: input.webhook ? sealUrl(services.secrets, input.webhook.url, target.teamId) : null,
    })
    .onConflictDoNothing()
    .returning({ id: imports.id });
  if (row) return row.id;
  const running = await runningImport(tx, integration?.id ?? null);
  if (running === null) throw new Error('an import was neither stored nor found');
  throw new ImportAlreadyRunningError(running);
}

async function insertAllEntries(
  tx: Transaction,
  services: Services,
  { importId, input, target, page }: NewImport & { readonly importId: string },
): Promise<void> {
  if (page !== null) return void (await storePage(tx, importId, page));
  const { videos, objects } = input.from;
  await insertEntries(tx, {
    importId,
    teamId: target.teamId,
    secrets: services.secrets,
    uploads: target.uploads,
    videos: videos?.videos ?? [],
    objects: objects?.objects ?? [],
  });
}
