import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Metadata, StoredInput } from '../db/tables/imports.ts';
import type { Services } from './deps.ts';
import { type Entry, isObject, type OpenIntegration, sourceOf } from './entry.ts';
import { EMPTY_FILE, judgeContent, judgeListed, judgeProbe, type Verdict } from './judge-entry.ts';
import { type Known, lookUpKnown, UNKNOWN } from './known-content.ts';
import type { Requirements } from './requirements.ts';

/** What entries are judged by. */
export interface Judging {
  readonly services: Services;
  readonly teamId: string;
  readonly indexId: string;
  readonly requirements: Requirements;
  /** Of the pairs of videos by URL; null for objects. */
  readonly systemName: string | null;
  readonly integration: OpenIntegration | null;
  readonly incremental: boolean;
  /** Whether an object whose latest task failed is left alone. */
  readonly skipFailed: boolean;
  readonly metadata: Metadata | null;
  /** Ends the judging early. */
  readonly signal: AbortSignal;
  /** For the log. */
  readonly importId: string | null;
}

/** One entry with its verdict. */
export interface Decision extends Entry {
  readonly verdict: Verdict;
  /** What its source is known by; null where nobody has looked. */
  readonly sourceHash: string | null;
}

/** Verdicts are handed on this often, so that transfers start and subscribers see them while planning goes on. */
const HAND_ON_MS = 250;

/**
 * Judges a window of entries, many at once, and hands verdicts on as they come; after an abort, those that are there.
 * @param record takes the verdicts of one batch; never called again before it is done
 */
export async function judgeEntries(
  judging: Judging,
  entries: readonly Entry[],
  record: (batch: readonly Decision[]) => Promise<void>,
): Promise<void> {
  // Looks that nobody waits for any more must not go on, nor hold places at their origins.
  const own = new AbortController();
  const onAbort = () => own.abort(judging.signal.reason);
  if (judging.signal.aborted) onAbort();
  else judging.signal.addEventListener('abort', onAbort, { once: true });
  setMaxListeners(0, own.signal);
  try {
    await judgeWindow({ ...judging, signal: own.signal }, entries, record);
  } finally {
    judging.signal.removeEventListener('abort', onAbort);
    own.abort();
  }
}

async function judgeWindow(
  judging: Judging,
  entries: readonly Entry[],
  record: (batch: readonly Decision[]) => Promise<void>,
): Promise<void> {
  const { signal } = judging;
  const sources = entries.map((entry) => sourceOf(judging.services, entry.input, judging));
  const known = await lookUp(judging, entries, sources);
  let decided: Decision[] = [];
  let open = entries.length;
  let fault: { readonly error: unknown } | null = null;
  const done = new AbortController();
  for (const [at, entry] of entries.entries()) {
    const source = sources[at] as Source; // As many as there are entries.
    judgeEntry(judging, entry, { source, known: known.get(entry.ordinal) ?? UNKNOWN })
      .then((verdict) => {
        if (verdict) decided.push({ ...entry, verdict, sourceHash: source.hash });
      })
      // Nothing of it is known to fail; were it to, the run must end, and not the process.
      .catch((error: unknown) => {
        fault ??= { error };
      })
      .finally(() => {
        open -= 1;
        if (open === 0 || fault !== null) done.abort();
      });
  }
  while (open > 0 && fault === null && !signal.aborted) {
    await pause(HAND_ON_MS, AbortSignal.any([done.signal, signal]));
    const batch = decided;
    decided = [];
    if (batch.length > 0) await record(batch);
  }
  if (decided.length > 0) await record(decided);
  throwFault(fault);
}

function throwFault(fault: { readonly error: unknown } | null): void {
  if (fault !== null) throw fault.error;
}

const pause = (ms: number, signal: AbortSignal) => sleep(ms, undefined, { signal }).catch(() => {});

type Source = ReturnType<typeof sourceOf>;

const lookUp = (judging: Judging, entries: readonly Entry[], sources: readonly Source[]) =>
  lookUpKnown(judging.services.db, {
    indexId: judging.indexId,
    systemName: judging.systemName,
    failedOf: judging.skipFailed ? (judging.integration?.id ?? null) : null,
    entries: entries.map(({ ordinal, input }, at) => ({
      ordinal,
      source: sources[at]?.hash ?? '',
      externalId: isObject(input) ? null : input.externalId,
      key: isObject(input) ? input.key : null,
      sha256: isObject(input) ? null : (input.sha256 ?? null),
    })),
  });

interface Given {
  readonly source: Source;
  readonly known: Known;
}

/** The verdict on one entry; null when the judging ended before there was one. */
async function judgeEntry(judging: Judging, entry: Entry, given: Given): Promise<Verdict | null> {
  return judgeByItself(judging, entry, given.known) ?? (await judgeByLook(judging, entry, given));
}

/** What can be told without a request. */
function judgeByItself(judging: Judging, { input }: Entry, known: Known): Verdict | null {
  const { services, requirements, incremental, metadata } = judging;
  if (isObject(input)) {
    const judgeSize = (size: number) => services.prober.judgeSize(size, requirements);
    return judgeListed(input, known, { incremental, judgeSize });
  }
  const unfit = input.uploadId === undefined ? null : judgeDeclared(judging, input.size ?? 0);
  if (unfit !== null || input.sha256 === undefined) return unfit;
  return judgeContent(input, known, { incremental, metadata, sha256: input.sha256 });
}

/** What the declared size of an upload, in bytes, tells of it before it is there. */
function judgeDeclared({ services, requirements }: Judging, size: number): Verdict | null {
  const error = size === 0 ? EMPTY_FILE : services.prober.judgeSize(size, requirements);
  return error && { kind: 'REJECTED', error };
}

async function judgeByLook(
  judging: Judging,
  { input }: Entry,
  { source, known }: Given,
): Promise<Verdict | null> {
  const { services, requirements, incremental, metadata, signal } = judging;
  try {
    const file = source.file();
    return await services.originLimit(file.origin, signal, async () => {
      // An object that comes in once more is looked at as if it were new.
      const knownVersion = isObject(input) && !incremental ? null : (known.source?.version ?? null);
      const probe = await services.prober.look(file, { knownVersion, requirements, signal });
      return withListed(input, judgeProbe(input, known, { incremental, metadata, probe }));
    });
  } catch (error) {
    if (signal.aborted) return null;
    // A fault of ours must not reject anybody's video: its transfer will tell.
    services.log.error(
      { err: error, importId: judging.importId },
      'a video could not be looked at while planning',
    );
    return withListed(input, { kind: 'ACCEPTED', version: null, size: null, metadata: null });
  }
}

/** What a look did not tell of an accepted object, its listing does; of an upload, its declared size is known. */
function withListed(input: StoredInput, verdict: Verdict): Verdict {
  if (verdict.kind !== 'ACCEPTED' || verdict.version !== null) return verdict;
  const version = isObject(input) ? (input.version ?? null) : null;
  return { ...verdict, version, size: verdict.size ?? input.size ?? null };
}
