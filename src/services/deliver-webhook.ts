import { eq, sql } from 'drizzle-orm';
import { Webhook } from 'standardwebhooks';
import type { z } from 'zod';
import type { Transaction } from '../db/client.ts';
import { type StoredAttempt, webhookDeliveries } from '../db/tables/webhooks.ts';
import { transaction } from '../db/transaction.ts';
import { deliverWebhook as deliverWebhookJob } from '../jobs/definitions.ts';
import type { ClaimedJob, Job } from '../jobs/job.ts';
import { enqueue, finishJob } from '../jobs/queue.ts';
import { SourceError } from '../sources/errors.ts';
import type { Services } from './deps.ts';
import type { ReceiverLimit } from './receiver-limit.ts';
import { SecretBoxError } from './secret-box.ts';
import { openUrl } from './source-urls.ts';
import { limitTime } from './time-limit.ts';
import { isDelivered, type NextStep, nextStep, type Result } from './webhook-schedule.ts';
import { signingSecrets } from './webhook-secrets.ts';

/** So many attempts are kept of a message that is asked for again and again. */
const MAX_ATTEMPTS = 20;
/** Later tries come after earlier ones that are due as well. */
const MAX_PRIORITY = 9;
const UNREADABLE =
  'The server cannot read the URL, or the secret that signs: the key that they were encrypted with is not known to it. Its operator has to name that key.';

type DeliveryJob = Job<z.output<typeof deliverWebhookJob.schema>>;

interface DeliveryOptions {
  readonly signal: AbortSignal;
  readonly limit: ReceiverLimit;
  /** Runs what needs the database, a few at once: hundreds that wait for receivers must leave connections to leases. */
  readonly withDatabase: <T>(work: () => Promise<T>) => Promise<T>;
  /** How long a receiver may take to answer. */
  readonly timeoutSeconds: number;
  /** What the waits between two tries are multiplied by. */
  readonly scale: number;
}

/** What is sent, and to whom. */
interface Message {
  readonly id: string;
  readonly teamId: string;
  readonly url: URL;
  readonly body: string;
}

type Tried = Result & StoredAttempt;

/**
 * Tries once to deliver a message, as the run of its job, and plans the next try if it did not arrive. A process that dies before
 * that is stored leaves the job to another, which sends the same message again.
 * @throws {WaitError} when its receiver has no room now
 * @throws {LeaseLostError} when another process has taken the job
 * @throws the reason of the signal, when it aborts before the answer
 */
export async function deliverWebhook(
  services: Services,
  job: DeliveryJob,
  options: DeliveryOptions,
): Promise<void> {
  const entry = { ...job.payload, signal: options.signal };
  const tried = await options.limit.run(entry, () => attempt(services, job, options));
  if (tried === null) return;
  await options.withDatabase(() => record(services, job, { tried, scale: options.scale }));
}

/** @returns null when there is nothing to send any more */
async function attempt(
  services: Services,
  job: DeliveryJob,
  options: DeliveryOptions,
): Promise<Tried | null> {
  const due = await options.withDatabase(() => findDue(services, job.subjectId));
  if (due === null) return null;
  const url = urlOf(services, job, due);
  if (url === null) return unreadable();
  return await send(services, { id: job.subjectId, teamId: job.teamId, body: due.body, url }, options);
}

/** Ends a delivery whose job can go on no more. */
export async function abandonWebhook(tx: Transaction, deliveryId: string): Promise<void> {
  await tx.execute(sql`
    update webhook_deliveries set state = 'GAVE_UP', next_attempt_at = null
     where id = ${deliveryId} and state in ('WAITING', 'RETRYING')`);
}

interface Due extends Record<string, unknown> {
  readonly body: string;
  readonly url: string;
}

/** The message, unless it has arrived or is gone with its import. */
async function findDue({ db }: Services, deliveryId: string): Promise<Due | null> {
  const { rows } = await db.execute<Due>(sql`
    select d.body, i.webhook_url as url
      from webhook_deliveries d join imports i on i.id = d.import_id
     where d.id = ${deliveryId} and d.state in ('WAITING', 'RETRYING')`);
  return rows[0] ?? null;
}

/** @returns null when it cannot be read */
function urlOf({ secrets, log }: Services, { subjectId, teamId }: ClaimedJob, due: Due): URL | null {
  try {
    return new URL(openUrl(secrets, due.url, teamId));
  } catch (error) {
    if (!(error instanceof SecretBoxError)) throw error;
    log.error({ err: error, delivery: subjectId }, 'the URL of a webhook cannot be read');
    return null;
  }
}

/** @returns null when one cannot be read */
async function readSecrets(
  services: Services,
  { id, teamId }: Message,
  withDatabase: DeliveryOptions['withDatabase'],
): Promise<readonly string[] | null> {
  try {
    return await withDatabase(() => signingSecrets(services, teamId));
  } catch (error) {
    if (!(error instanceof SecretBoxError)) throw error;
    services.log.error({ err: error, delivery: id }, 'the secret that signs a webhook cannot be read');
    return null;
  }
}

const unreadable = (): Tried => ({
  at: new Date().toISOString(),
  statusCode: null,
  error: UNREADABLE,
  durationMs: 0,
});

async function send(
  services: Services,
  message: Message,
  { signal, timeoutSeconds, withDatabase }: DeliveryOptions,
): Promise<Tried> {
  const { url, body } = message;
  const secrets = await readSecrets(services, message, withDatabase);
  if (secrets === null) return unreadable();
  const at = new Date();
  const began = performance.now();
  const limit = limitTime(signal, timeoutSeconds * 1000);
  const tried = (result: Result, error: string | null): Tried => {
    const durationMs = Math.round(performance.now() - began);
    return { at: at.toISOString(), ...result, error, durationMs };
  };
  try {
    const headers = signed(message, at, secrets);
    const { status, retryAfterSeconds } = await services.poster.post(url, {
      headers,
      body,
      signal: limit.signal,
    });
    return tried({ statusCode: status, retryAfterSeconds }, faultOf(status));
  } catch (error) {
    if (limit.isOver())
      return tried({ statusCode: null }, `${url.hostname} did not answer within ${timeoutSeconds} seconds.`);
    signal.throwIfAborted();
    if (error instanceof SourceError) return tried({ statusCode: null }, error.message);
    throw error;
  } finally {
    limit.end();
  }
}

/** A signature by each secret, so that receivers may change over from one to the next. */
function signed({ id, body }: Message, at: Date, secrets: readonly string[]): Record<string, string> {
  const messageId = `msg_${id}`;
  return {
    'content-type': 'application/json',
    'webhook-id': messageId,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': secrets.map((secret) => new Webhook(secret).sign(messageId, at, body)).join(' '),
  };
}

function faultOf(status: number): string | null {
  if (isDelivered(status)) return null;
  if (status === 410) return 'The receiver answered with HTTP 410: it is not asked again.';
  if (status >= 300 && status < 400)
    return `The receiver answered with HTTP ${status}; redirects are not followed. Give the URL that it leads to.`;
  return `The receiver answered with HTTP ${status}; only 2xx counts as received.`;
}

/** Stores what came of a try and ends the job; the next try, if there is to be one, is a job of its own. */
async function record(
  services: Services,
  job: DeliveryJob,
  { tried, scale }: { readonly tried: Tried; readonly scale: number },
): Promise<void> {
  const step = await transaction(services.db, async (tx) => {
    const [row] = await tx
      .select({ failures: webhookDeliveries.failures, attempts: webhookDeliveries.attempts })
      .from(webhookDeliveries)
      .where(eq(webhookDeliveries.id, job.subjectId))
      .for('update');
    await finishJob(tx, job);
    if (!row) return null;
    const next = nextStep(tried, row.failures, scale);
    const failures = row.failures + (next.state === 'DELIVERED' ? 0 : 1);
    const { retryAfterSeconds: _, ...attempt } = tried;
    const attempts = [...row.attempts, attempt].slice(-MAX_ATTEMPTS);
    await store(tx, job, { next, failures, attempts });
    return next;
  });
  if (step?.state === 'GAVE_UP')
    services.log.warn({ delivery: job.subjectId }, 'a webhook could not be delivered, and is given up');
}

interface Recorded {
  readonly next: NextStep;
  readonly failures: number;
  readonly attempts: readonly StoredAttempt[];
}

async function store(
  tx: Transaction,
  job: DeliveryJob,
  { next, failures, attempts }: Recorded,
): Promise<void> {
  const waitSeconds = next.state === 'RETRYING' ? next.waitSeconds : null;
  const [row] = await tx
    .update(webhookDeliveries)
    .set({
      state: next.state,
      failures,
      attempts,
      nextAttemptAt: sql`date_trunc('milliseconds', clock_timestamp() + ${waitSeconds}::float8 * interval '1 second')`,
    })
    .where(eq(webhookDeliveries.id, job.subjectId))
    .returning({ nextAttemptAt: webhookDeliveries.nextAttemptAt });
  if (row?.nextAttemptAt == null) return;
  await enqueue(tx, deliverWebhookJob, {
    subjectId: job.subjectId,
    teamId: job.teamId,
    payload: { ...job.payload, isRetry: true },
    runAt: row.nextAttemptAt,
    priority: Math.min(failures, MAX_PRIORITY),
  });
}
