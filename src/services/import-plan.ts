import { setMaxListeners } from 'node:events';
import { sql } from 'drizzle-orm';
import type { StoredInput } from '../db/tables/imports.ts';
import { SourceError } from '../sources/errors.ts';
import { createPlan, type ImportPlan } from './collect-plan.ts';
import type { Services } from './deps.ts';
import type { Entry } from './entry.ts';
import { SourceUnavailableError } from './errors.ts';
import { listingFault } from './import-fault.ts';
import { findTarget, type Target } from './import-target.ts';
import { type Judging, judgeEntries } from './judge-entries.ts';
import { toInput } from './list-entries.ts';
import { createListing } from './listing.ts';
import { requirementsOf } from './requirements.ts';
import { integrationIdOf, type PlanImport, parseImportPlan, uploadsOf } from './start-import-input.ts';
import { objectEntry, videoEntry } from './store-entries.ts';
import { limitTime } from './time-limit.ts';
import { type Amount, limitsPassedBy } from './usage.ts';
import { assertUsable } from './use-uploads.ts';
import type { Viewer } from './viewer.ts';

/** How many entries are judged together, at most. */
const WINDOW = 1000;

/**
 * Judges what startImport would judge, as far as that can be done within the planning time, and stores nothing.
 * @param input as the API takes it, not checked yet
 * @throws {InvalidInputError} with everything that is wrong
 * @throws {NotFoundError} when an id names nothing that the viewer reaches
 * @throws {SourceUnavailableError} when the integration cannot be listed
 */
export async function planOfImport(services: Services, viewer: Viewer, input: unknown): Promise<ImportPlan> {
  const parsed = parseImportPlan(input);
  const target = await findTarget(services.db, viewer, {
    ...parsed,
    integration: integrationIdOf(parsed),
    uploads: uploadsOf(parsed),
  });
  assertUsable(target.uploads);
  const limit = limitTime(new AbortController().signal, services.planSeconds * 1000);
  // Every entry of a window listens to it.
  setMaxListeners(0, limit.signal);
  const plan = createPlan();
  try {
    const judging = judgingOf(services, target, { input: parsed, signal: limit.signal });
    const judge = (entries: readonly Entry[]) =>
      judgeEntries(judging, entries, async (batch) => plan.take(batch));
    const named = plan.findNamed(namedEntries(services, target, parsed));
    for (let at = 0; at < named.length && !limit.isOver(); at += WINDOW)
      await judge(named.slice(at, at + WINDOW));
    for await (const entries of listedEntries(judging, parsed)) {
      plan.find(entries.length);
      await judge(entries);
    }
  } catch (error) {
    if (!limit.isOver()) throw unlisted(error);
  } finally {
    limit.end();
  }
  const more = await amountOfPlan(services, { target, input: parsed, plan });
  return { ...plan.result(), exceededLimits: await limitsPassedBy(services.db, target.teamId, more) };
}

function unlisted(error: unknown): unknown {
  if (!(error instanceof SourceError)) return error;
  const { code, message } = listingFault(error);
  return new SourceUnavailableError(code, message);
}

interface Collected {
  readonly target: Target;
  readonly input: PlanImport;
  readonly plan: ReturnType<typeof createPlan>;
}

/** What the accepted videos take as far as that is known; those whose pair has a video make no further one. */
async function amountOfPlan({ db }: Services, { target, input, plan }: Collected): Promise<Amount> {
  const { amount, pairs } = plan.taken();
  if (pairs.length === 0) return amount;
  const { rows } = await db.execute<{ count: number }>(sql`
    select count(*)::int as count from videos
     where index_id = ${target.index.id} and system_name = ${input.from.videos?.systemName} and external_id = any(${sql.param([...pairs])}::text[])`);
  return { ...amount, videos: amount.videos - (rows[0]?.count ?? 0) };
}

function judgingOf(
  services: Services,
  { teamId, index, integration }: Target,
  { input, signal }: { readonly input: PlanImport; readonly signal: AbortSignal },
): Judging {
  return {
    services,
    teamId,
    indexId: index.id,
    requirements: requirementsOf(services.requirements, index),
    systemName: input.from.videos?.systemName ?? null,
    integration: integration && {
      id: integration.id,
      source: services.integrationSources.of(integration),
    },
    incremental: input.incremental,
    skipFailed: input.from.integration != null && !input.retryFailed,
    metadata: input.metadata ?? null,
    signal,
    importId: null,
  };
}

const numbered = (inputs: readonly StoredInput[], from = 0): readonly Entry[] =>
  inputs.map((input, at) => ({ ordinal: from + at, input }));

const namedEntries = (
  { secrets }: Services,
  { teamId, uploads }: Target,
  { from: { videos, objects } }: PlanImport,
) =>
  numbered([
    ...(videos?.videos.map((video) => videoEntry(video, { secrets, teamId, uploads })) ?? []),
    ...(objects?.objects.map(objectEntry) ?? []),
  ]);

/** Page after page of a listing, until the time is up. */
async function* listedEntries(
  { integration, signal }: Judging,
  { from }: PlanImport,
): AsyncGenerator<readonly Entry[]> {
  if (from.integration == null || integration === null) return;
  const prefix = from.integration.prefix ?? null;
  const listing = createListing(integration.source, { prefix, position: null, signal });
  let found = 0;
  try {
    while (!listing.isOver() && !signal.aborted) {
      const { objects } = await listing.next();
      yield numbered(objects.map(toInput), found);
      found += objects.length;
    }
  } finally {
    listing.end();
  }
}
