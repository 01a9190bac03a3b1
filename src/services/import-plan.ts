import { setMaxListeners } from 'node:events';
import type { StoredInput } from '../db/tables/imports.ts';
import type { StoredError } from '../db/tables/tasks.ts';
import { SourceError } from '../sources/errors.ts';
import type { Services } from './deps.ts';
import { type Entry, isObject } from './entry.ts';
import { SourceUnavailableError } from './errors.ts';
import { listingFault } from './import-fault.ts';
import { findTarget, type Target } from './import-target.ts';
import { type Decision, type Judging, judgeEntries } from './judge-entries.ts';
import { toInput } from './list-entries.ts';
import { createListing } from './listing.ts';
import { mostRestrictive } from './requirements.ts';
import { integrationIdOf, parseStartImport, type StartImport, uploadsOf } from './start-import-input.ts';
import { DUPLICATE, objectEntry, repeatedIn, videoEntry } from './store-entries.ts';
import { limitTime } from './time-limit.ts';
import { assertUsable } from './use-uploads.ts';
import type { Viewer } from './viewer.ts';

/** How many entries of each list are told; all are counted. */
const LIST_SIZE = 100;
/** How many entries are judged together, at most. */
const WINDOW = 1000;

/** What would become of one entry. Bytes, seconds, pixels. */
export interface PlannedVideo {
  readonly fileName: string;
  readonly sourceKey: string | null;
  readonly name: string;
  readonly externalId: string | null;
  readonly size: number | null;
  readonly duration: number | null;
  readonly width: number | null;
  readonly height: number | null;
  readonly skipReason: 'SAME_RECORD' | 'SAME_CONTENT' | 'FAILED_BEFORE' | null;
  readonly existingVideoId: string | null;
  readonly error: StoredError | null;
}

/** What an import would do; each list holds the first of its kind. */
export interface ImportPlan {
  readonly found: number;
  readonly acceptedCount: number;
  readonly skippedCount: number;
  readonly rejectedCount: number;
  readonly undecidedCount: number;
  readonly accepted: readonly PlannedVideo[];
  readonly skipped: readonly PlannedVideo[];
  readonly rejected: readonly PlannedVideo[];
  /** Of the accepted ones; null when the size of one is unknown. */
  readonly bytesTotal: number | null;
}

/**
 * Judges what startImport would judge, as far as that can be done within the planning time, and stores nothing.
 * @param input as the API takes it, not checked yet
 * @throws {InvalidInputError} with everything that is wrong
 * @throws {NotFoundError} when an id names nothing that the viewer reaches
 * @throws {SourceUnavailableError} when the integration cannot be listed
 */
export async function planOfImport(services: Services, viewer: Viewer, input: unknown): Promise<ImportPlan> {
  const parsed = parseStartImport(input);
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
    return plan.result();
  } catch (error) {
    if (limit.isOver()) return plan.result();
    if (!(error instanceof SourceError)) throw error;
    const { code, message } = listingFault(error);
    throw new SourceUnavailableError(code, message);
  } finally {
    limit.end();
  }
}

function judgingOf(
  services: Services,
  { teamId, index, integration }: Target,
  { input, signal }: { readonly input: StartImport; readonly signal: AbortSignal },
): Judging {
  return {
    services,
    teamId,
    indexId: index.id,
    requirements: mostRestrictive(services.requirements, index.requirements),
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
  { from: { videos, objects } }: StartImport,
) =>
  numbered([
    ...(videos?.videos.map((video) => videoEntry(video, { secrets, teamId, uploads })) ?? []),
    ...(objects?.objects.map(objectEntry) ?? []),
  ]);

/** Page after page of a listing, until the time is up. */
async function* listedEntries(
  { integration, signal }: Judging,
  { from }: StartImport,
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

interface Planned {
  readonly ordinal: number;
  readonly video: PlannedVideo;
}

/** Collects what is found and decided. */
function createPlan() {
  const lists = {
    accepted: [] as Planned[],
    skipped: [] as Planned[],
    rejected: [] as Planned[],
  };
  const counts = { accepted: 0, skipped: 0, rejected: 0 };
  let found = 0;
  let bytesTotal: number | null = 0;
  const add = (kind: keyof typeof lists, planned: Planned) => {
    counts[kind] += 1;
    // Verdicts come in any order; told are those that were found first.
    const list = lists[kind];
    list.splice(list.findLastIndex(({ ordinal }) => ordinal < planned.ordinal) + 1, 0, planned);
    if (list.length > LIST_SIZE) list.pop();
  };
  const told = (kind: keyof typeof lists) => lists[kind].map(({ video }) => video);
  return {
    find(count: number) {
      found += count;
    },
    /** Counts named entries, and rejects those that an earlier one has named; gives the others. */
    findNamed(entries: readonly Entry[]): readonly Entry[] {
      found += entries.length;
      const repeated = new Set(
        repeatedIn(entries.map(({ input }) => (isObject(input) ? input.key : input.externalId))),
      );
      for (const at of repeated) {
        const entry = entries[at];
        if (!entry) continue;
        const { ordinal, input } = entry;
        add('rejected', { ordinal, video: { ...toPlanned(input), error: DUPLICATE } });
      }
      return entries.filter((_, at) => !repeated.has(at));
    },
    take(batch: readonly Decision[]) {
      for (const { ordinal, input, verdict } of batch) {
        const video = toPlanned(input);
        if (verdict.kind === 'REJECTED') {
          add('rejected', { ordinal, video: { ...video, error: verdict.error } });
        } else if (verdict.kind === 'SKIPPED') {
          const { skipReason, videoId } = verdict;
          add('skipped', { ordinal, video: { ...video, skipReason, existingVideoId: videoId } });
        } else if (verdict.kind === 'ACCEPTED') {
          const { size, metadata } = verdict;
          bytesTotal = bytesTotal === null || size === null ? null : bytesTotal + size;
          const { duration = null, width = null, height = null } = metadata ?? {};
          add('accepted', { ordinal, video: { ...video, size, duration, width, height } });
        }
      }
    },
    result: (): ImportPlan => ({
      found,
      acceptedCount: counts.accepted,
      skippedCount: counts.skipped,
      rejectedCount: counts.rejected,
      undecidedCount: found - counts.accepted - counts.skipped - counts.rejected,
      accepted: told('accepted'),
      skipped: told('skipped'),
      rejected: told('rejected'),
      bytesTotal,
    }),
  };
}

function toPlanned(input: StoredInput): PlannedVideo {
  return {
    fileName: input.fileName,
    name: input.name ?? input.fileName,
    sourceKey: isObject(input) ? input.key : null,
    externalId: isObject(input) ? null : input.externalId,
    size: input.size ?? null,
    duration: null,
    width: null,
    height: null,
    skipReason: null,
    existingVideoId: null,
    error: null,
  };
}
