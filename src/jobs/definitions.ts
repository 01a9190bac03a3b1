import { z } from 'zod';
import { defineJob } from './define.ts';

/** For jobs that nobody waits for and that have no other end than success: at most every 15 minutes, for more than a week. */
const PATIENT = 1_000;

/** Judges the entries of an import that the call itself had no time for. Its subject is the import. */
export const planImport = defineJob({ kind: 'plan-import', schema: z.object({}) });

/** Brings the bytes of one video in and checks them. Its subject is the task. */
export const transferVideo = defineJob({ kind: 'transfer-video', schema: z.object({}) });

/** Indexes one stored video. Its subject is the task. */
export const indexVideo = defineJob({ kind: 'index-video', schema: z.object({}) });

/**
 * Makes products of one stored video and takes it into its index. Its subject is the task. A kind of its own: it takes as long
 * as the video does, and must not hold back those that are only taken in.
 */
export const processVideo = defineJob({ kind: 'process-video', schema: z.object({}) });

/** Decides about the tasks that wait for another task's same content, once that one has ended. Its subject is that task. */
export const settleContent = defineJob({
  kind: 'settle-content',
  maxFailures: PATIENT,
  schema: z.object({ indexId: z.uuid(), sha256: z.string() }),
});

/**
 * Deletes the bytes below a prefix, but for what is below `keep`, and what claims after `lastClaim` have written: a task may
 * be tried again before its old bytes are gone. Its subject is an id of its own.
 */
export const deleteObjects = defineJob({
  kind: 'delete-objects',
  maxFailures: PATIENT,
  schema: z.object({
    prefix: z.string(),
    keep: z.string().nullable(),
    lastClaim: z.string().regex(/^\d+$/).nullable().default(null),
  }),
});

/** Removes what processes that died left in the storage; plans itself anew. It has one subject. */
export const sweepStorage = defineJob({
  kind: 'sweep-storage',
  maxFailures: PATIENT,
  schema: z.object({}),
});

/** Removes records that are kept for a while only; plans itself anew. It has one subject. */
export const removeExpired = defineJob({
  kind: 'remove-expired',
  maxFailures: PATIENT,
  schema: z.object({}),
});

/** Removes what is left of an import whose row is gone. Its subject is that import. */
export const deleteImport = defineJob({
  kind: 'delete-import',
  maxFailures: PATIENT,
  schema: z.object({}),
});

/** Ends the unfinished tasks of an import that was canceled. Its subject is the import. */
export const cancelImport = defineJob({
  kind: 'cancel-import',
  maxFailures: PATIENT,
  schema: z.object({}),
});

/** Queues the tasks of an import again that had failed or were canceled by then. Its subject is the import. */
export const retryImport = defineJob({
  kind: 'retry-import',
  maxFailures: PATIENT,
  schema: z.object({ endedBefore: z.iso.datetime() }),
});

/**
 * Delivers the message about the end of an import; one that did not arrive makes its job anew, as late as its schedule says.
 * Its subject is the delivery; its receiver is known by hashes of its URL.
 */
export const deliverWebhook = defineJob({
  kind: 'deliver-webhook',
  maxFailures: PATIENT,
  schema: z.object({ receiver: z.string(), origin: z.string(), isRetry: z.boolean() }),
});
