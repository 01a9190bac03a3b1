import type { StoredInput } from '../db/tables/imports.ts';
import type { StoredError } from '../db/tables/tasks.ts';
import { type Entry, isObject } from './entry.ts';
import type { Decision } from './judge-entries.ts';
import { DUPLICATE, repeatedIn } from './store-entries.ts';
import { type Amount, amountOf, NOTHING, plus, type UsageLimit } from './usage.ts';

/** How many entries of each list are told; all are counted. */
const LIST_SIZE = 100;

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
  /** Those that the accepted ones would pass. */
  readonly exceededLimits: readonly UsageLimit[];
}

interface Planned {
  readonly ordinal: number;
  readonly video: PlannedVideo;
}

/** Collects what is found and decided. */
export function createPlan() {
  const lists = {
    accepted: [] as Planned[],
    skipped: [] as Planned[],
    rejected: [] as Planned[],
  };
  const counts = { accepted: 0, skipped: 0, rejected: 0 };
  let found = 0;
  let bytesTotal: number | null = 0;
  let amount = NOTHING;
  const pairs: string[] = [];
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
          amount = plus(amount, amountOf(metadata, { videos: 1, size }));
          if (!isObject(input)) pairs.push(input.externalId);
          const { duration = null, width = null, height = null } = metadata ?? {};
          add('accepted', { ordinal, video: { ...video, size, duration, width, height } });
        }
      }
    },
    result: (): Omit<ImportPlan, 'exceededLimits'> => ({
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
    /** What the accepted ones take, each as a video of its own, and the external ids of those that have a pair. */
    taken: (): { readonly amount: Amount; readonly pairs: readonly string[] } => ({ amount, pairs }),
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
