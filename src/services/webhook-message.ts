import { createHash } from 'node:crypto';
import type { Transaction } from '../db/client.ts';
import { uuidv7 } from '../db/ids.ts';
import type { ImportState, StoredCounts } from '../db/tables/imports.ts';
import { webhookDeliveries } from '../db/tables/webhooks.ts';
import { deliverWebhook } from '../jobs/definitions.ts';
import { enqueue } from '../jobs/queue.ts';
import { toPublicId } from './public-ids.ts';
import { type SecretBox, SecretBoxError } from './secret-box.ts';
import { openUrl } from './source-urls.ts';

/** A run of an import that has just ended. */
export interface FinishedRun {
  readonly id: string;
  readonly teamId: string;
  readonly runs: number;
  readonly state: ImportState;
  readonly hasFailures: boolean;
  /** As it is stored; null when nobody wants to be told. */
  readonly webhookUrl: string | null;
  readonly found: number;
  readonly counts: StoredCounts;
  /** JSON, as the client gave it. */
  readonly context: string | null;
  /** ISO 8601 in UTC. */
  readonly finishedAt: string;
}

/**
 * Stores the message about a run that ends in this transaction, one at most for each, and plans its delivery. Its body is made
 * here and now: every try sends the same, whatever becomes of the import.
 */
export async function planWebhook(
  tx: Transaction,
  secrets: SecretBox,
  run: FinishedRun & { readonly webhookUrl: string },
): Promise<void> {
  const delivery = {
    id: uuidv7(),
    importId: run.id,
    run: run.runs,
    body: bodyOf(run),
    nextAttemptAt: new Date(run.finishedAt),
  };
  const [stored] = await tx
    .insert(webhookDeliveries)
    .values(delivery)
    .onConflictDoNothing()
    .returning({ id: webhookDeliveries.id });
  if (!stored) return;
  await enqueueDelivery(tx, secrets, { ...run, deliveryId: stored.id });
}

/** Enqueues the first try of a message, or of one that is asked for once more. */
export async function enqueueDelivery(
  tx: Transaction,
  secrets: SecretBox,
  {
    deliveryId,
    teamId,
    webhookUrl,
  }: Pick<FinishedRun, 'teamId'> & { readonly deliveryId: string; readonly webhookUrl: string },
): Promise<void> {
  const payload = { ...receiverOf(secrets, webhookUrl, teamId), isRetry: false };
  await enqueue(tx, deliverWebhook, { subjectId: deliveryId, teamId, payload });
}

/** What tells receivers from one another: a URL without its query, and its origin. One that cannot be read has no others like it. */
function receiverOf(secrets: SecretBox, webhookUrl: string, teamId: string) {
  try {
    const { origin, pathname } = new URL(openUrl(secrets, webhookUrl, teamId));
    return { receiver: hash(origin + pathname), origin: hash(origin) };
  } catch (error) {
    if (!(error instanceof SecretBoxError)) throw error;
    return { receiver: hash(webhookUrl), origin: hash(webhookUrl) };
  }
}

const hash = (text: string): string => createHash('sha256').update(text).digest('base64url').slice(0, 16);

/** The body as Standard Webhooks 1.0 frames it, with the counts as ImportCounts has them. */
function bodyOf({ id, state, hasFailures, found, counts, context, finishedAt }: FinishedRun): string {
  const { bytesDone: _done, bytesTotal: _total, rejected, ...statuses } = counts;
  return JSON.stringify({
    type: 'import.finished',
    timestamp: finishedAt,
    data: {
      id: toPublicId('Import', id),
      state,
      hasFailures,
      overview: { found, undecided: 0, rejected, ...statuses },
      context: context === null ? null : JSON.parse(context),
    },
  });
}
