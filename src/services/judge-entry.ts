import type { Metadata, StoredInput, StoredObjectInput } from '../db/tables/imports.ts';
import type { StoredError } from '../db/tables/tasks.ts';
import type { StoredSystemMetadata } from '../db/tables/videos.ts';
import type { Probe } from './deps.ts';
import { differs, type Known, mergeMetadata } from './known-content.ts';

/** What planning decided about one entry. */
export type Verdict =
  | {
      readonly kind: 'ACCEPTED';
      readonly version: string | null;
      readonly size: number | null;
      readonly metadata: StoredSystemMetadata | null;
    }
  | {
      readonly kind: 'SKIPPED';
      readonly skipReason: 'SAME_RECORD' | 'SAME_CONTENT';
      readonly videoId: string;
      /** What the video held when that was decided. */
      readonly sha256: string;
      readonly reason: string;
    }
  | {
      readonly kind: 'SKIPPED';
      readonly skipReason: 'FAILED_BEFORE';
      readonly videoId: null;
      readonly reason: string;
    }
  | { readonly kind: 'REJECTED'; readonly error: StoredError }
  /** The import was canceled before there was another one. */
  | { readonly kind: 'CANCELED' };

const accepted = (
  found: { readonly version: string | null; readonly size: number | null },
  metadata: StoredSystemMetadata | null = null,
): Verdict => ({ kind: 'ACCEPTED', version: found.version, size: found.size, metadata });

const rejected = (code: string, message: string): Verdict => ({
  kind: 'REJECTED',
  error: { code, message, retryable: false },
});

/** Why a file without any bytes is rejected. */
export const EMPTY_FILE: StoredError = {
  code: 'VIDEO_FILE_BROKEN',
  message: 'The file is empty; check that it was stored completely.',
  retryable: false,
};

/** How the import judges its entries. */
export interface JudgeOptions {
  readonly incremental: boolean;
  readonly metadata: Metadata | null;
}

/**
 * Judges an object by what its listing or its key alone tells.
 * @param judgeSize what a size alone tells
 * @returns null when it takes a look at the object to tell
 */
export function judgeListed(
  input: StoredObjectInput,
  known: Known,
  options: {
    readonly incremental: boolean;
    readonly judgeSize: (size: number) => StoredError | null;
  },
): Verdict | null {
  if (input.refusal !== undefined) return { kind: 'REJECTED', error: input.refusal };
  if (input.key.endsWith('/'))
    return rejected(
      'UNSUPPORTED_MEDIA_TYPE',
      'The key ends in a slash: it stands for a folder, not for a video.',
    );
  const { size, version } = input;
  const isSame = (other: string | null | undefined) =>
    version === undefined || other == null || other === version;
  if (known.failed !== null && isSame(known.failed.version)) return failedBefore(known.failed.message);
  if (options.incremental && known.source !== null && known.source.version === version) {
    const same = sameContent(known, known.source.sha256);
    if (same) return same;
  }
  if (size === undefined) return null;
  if (size === 0) return { kind: 'REJECTED', error: EMPTY_FILE };
  const error = options.judgeSize(size);
  return error && { kind: 'REJECTED', error };
}

const failedBefore = (message: string): Verdict => ({
  kind: 'SKIPPED',
  skipReason: 'FAILED_BEFORE',
  videoId: null,
  reason: `It failed in an earlier import: ${message} Import with retryFailed to try it again.`,
});

function sameContent(known: Known, sha256: string): Verdict | null {
  const videoId = known.contents.get(sha256);
  if (videoId === undefined) return null;
  return {
    kind: 'SKIPPED',
    skipReason: 'SAME_CONTENT',
    videoId,
    sha256,
    reason: 'The index holds a video with the same content already.',
  };
}

/**
 * Judges an entry whose content is known without reading it: from a given SHA-256, or because its source still holds the
 * version that came in before.
 * @param sha256 that content
 * @returns null when it takes a transfer to tell
 */
export function judgeContent(
  input: StoredInput,
  known: Known,
  options: JudgeOptions & { readonly sha256: string },
): Verdict | null {
  const { video } = known;
  if (video) {
    if (video.sha256 !== options.sha256) return null;
    const given = {
      name: input.name ?? null,
      description: input.description ?? null,
      metadata: mergeMetadata(options.metadata, input.metadata ?? null),
    };
    // What differs is written by the task itself, in the order of the imports.
    if (differs(video, given)) return accepted({ version: null, size: null });
    return {
      kind: 'SKIPPED',
      skipReason: 'SAME_RECORD',
      videoId: video.id,
      sha256: options.sha256,
      reason: 'The same video is there already, and nothing about it has changed.',
    };
  }
  return options.incremental ? sameContent(known, options.sha256) : null;
}

/** Judges an entry by what a look at its source told. */
export function judgeProbe(
  input: StoredInput,
  known: Known,
  options: JudgeOptions & { readonly probe: Probe },
): Verdict {
  const { probe } = options;
  switch (probe.kind) {
    case 'UNFIT':
      return { kind: 'REJECTED', error: probe.error };
    case 'UNCHANGED': {
      const sha256 = known.source?.sha256;
      const verdict = sha256 === undefined ? null : judgeContent(input, known, { ...options, sha256 });
      // By its version the task will know that there is nothing to copy.
      return verdict === null || verdict.kind === 'ACCEPTED' ? accepted(probe) : verdict;
    }
    case 'UNDECIDED':
      return accepted(probe);
    case 'FITS':
      return accepted(probe, probe.metadata);
  }
}
