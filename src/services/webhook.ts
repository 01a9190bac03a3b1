import { and, eq } from 'drizzle-orm';
import { databaseNow } from '../db/tables/types.ts';
import type { StoredAttempt, WebhookState } from '../db/tables/webhooks.ts';
import { webhookDeliveries } from '../db/tables/webhooks.ts';
import { transaction } from '../db/transaction.ts';
import { deliverWebhook } from '../jobs/definitions.ts';
import { removeJobs } from '../jobs/queue.ts';
import type { Services } from './deps.ts';
import { InvalidInputError, NotFoundError } from './errors.ts';
import { ownedBy } from './filters.ts';
import { openUrl } from './source-urls.ts';
import type { StartImport } from './start-import-input.ts';
import type { Viewer } from './viewer.ts';
import { enqueueDelivery } from './webhook-message.ts';

/**
 * Sees whether the webhook of an import leads to an address that may be reached, as far as that can be told now; what its name
 * leads to later is looked at each time.
 * @throws {InvalidInputError} FORBIDDEN_ADDRESS
 */
export async function checkWebhook(
  { poster }: Pick<Services, 'poster'>,
  { webhook }: StartImport,
): Promise<void> {
  if (webhook == null) return;
  const refusal = await poster.check(new URL(webhook.url));
  if (refusal === null) return;
  throw new InvalidInputError([
    { path: ['input', 'webhook', 'url'], code: 'FORBIDDEN_ADDRESS', message: refusal.message },
  ]);
}

/** Where the latest message about an import stands. */
export interface WebhookStatus {
  readonly url: string;
  readonly state: WebhookState;
  readonly nextAttemptAt: Date | null;
  readonly attempts: readonly StoredAttempt[];
}

interface Told {
  readonly teamId: string;
  readonly webhookUrl: string | null;
  readonly finishedAt: Date | null;
  /** The latest one, if there is any. */
  readonly webhookDeliveries: readonly Omit<WebhookStatus, 'url'>[];
}

/**
 * The webhook of an import; null when it has none, or its end was so long ago that what became of it was removed.
 * @throws {SecretBoxError} when its URL cannot be read
 */
export function webhookOf(
  { secrets }: Pick<Services, 'secrets'>,
  { teamId, webhookUrl, finishedAt, webhookDeliveries: [latest] }: Told,
): WebhookStatus | null {
  if (webhookUrl === null) return null;
  const url = openUrl(secrets, webhookUrl, teamId);
  if (latest) return { ...latest, url };
  return finishedAt === null ? { url, state: 'WAITING', nextAttemptAt: null, attempts: [] } : null;
}

/**
 * Has the message about the latest end of an import sent once more, with the same id and body, whatever became of it.
 * @returns the row id of the import
 * @throws {NotFoundError}
 * @throws {InvalidInputError} when the import has no webhook or has not finished, or the message was removed
 */
export async function redeliverWebhook(
  services: Services,
  viewer: Viewer,
  publicId: string,
): Promise<string> {
  const where = ownedBy(viewer, 'Import', publicId);
  const found = where && (await services.db.query.imports.findFirst({ where }));
  if (!found) throw new NotFoundError('import', ['importId']);
  const { webhookUrl } = found;
  if (webhookUrl === null) throw refused('names an import without a webhook');
  if (found.finishedAt === null)
    throw refused('names an import that has not finished; its webhook is sent when it has');
  await transaction(services.db, async (tx) => {
    const [delivery] = await tx
      .update(webhookDeliveries)
      .set({ state: 'WAITING', failures: 0, nextAttemptAt: databaseNow })
      .where(and(eq(webhookDeliveries.importId, found.id), eq(webhookDeliveries.run, found.runs)))
      .returning({ id: webhookDeliveries.id });
    if (!delivery) throw refused('names an import that finished so long ago that its message was removed');
    // One that is under way just now is not the one that is asked for.
    await removeJobs(tx, [deliverWebhook], [delivery.id]);
    await enqueueDelivery(tx, services.secrets, { ...found, webhookUrl, deliveryId: delivery.id });
  });
  services.jobs.wake(deliverWebhook.kind);
  return found.id;
}

const refused = (message: string) =>
  new InvalidInputError([{ path: ['importId'], code: 'INVALID', message }]);

/** The latest message of an import, as relational queries ask for it. */
export const LATEST_DELIVERY = {
  columns: { state: true, nextAttemptAt: true, attempts: true },
  orderBy: { run: 'desc' },
  limit: 1,
} as const;
