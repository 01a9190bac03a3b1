import type { z } from 'zod';
import type { Database } from '../../db/client.ts';
import { abandonWebhook, deliverWebhook } from '../../services/deliver-webhook.ts';
import { createOriginLimit } from '../../services/origin-limit.ts';
import { createReceiverLimit } from '../../services/receiver-limit.ts';
import { deliverWebhook as definition } from '../definitions.ts';
import { WaitError } from '../errors.ts';
import type { JobHandler } from '../handler.ts';
import type { ClaimedJob } from '../job.ts';
import { postponeJobs } from '../queue.ts';
import type { HandlerDeps } from './deps.ts';

/** How messages are delivered. */
export interface DeliverySettings {
  /** How long a receiver may take to answer. */
  readonly timeoutSeconds: number;
  /** What the waits between two tries are multiplied by. */
  readonly scale: number;
}

/** How many deliveries read or write the database at once, in this process. */
const DATABASE_AT_ONCE = 4;
/** Those whose receivers have no room go back to the queue together; so many milliseconds are they gathered. */
const GATHER_MS = 20;

/** Tells receivers of imports that have ended. */
export function createDeliverWebhookHandler(
  { services }: Pick<HandlerDeps, 'services'>,
  settings: DeliverySettings,
): JobHandler<z.output<typeof definition.schema>> {
  const limit = createReceiverLimit();
  const database = createOriginLimit({ perOrigin: DATABASE_AT_ONCE });
  // Once a receiver has answered, only its record keeps the message from being sent again: no abort ends the wait for that.
  const never = new AbortController().signal;
  const withDatabase = <T>(work: () => Promise<T>) => database('database', never, work);
  const postpone = createPostponer(services.db);
  return {
    definition,
    async run(job, { signal }) {
      try {
        await deliverWebhook(services, job, { ...settings, signal, limit, withDatabase });
      } catch (error) {
        if (!(error instanceof WaitError)) throw error;
        await postpone(job, error.seconds);
      }
    },
    onFailed: (tx, job) => abandonWebhook(tx, job.subjectId),
  };
}

/** A receiver that hangs may have thousands of messages: each on its own would keep the database busy. */
function createPostponer(db: Database) {
  let gathered: { readonly job: ClaimedJob; readonly seconds: number }[] = [];
  let storing: Promise<void> | null = null;
  const store = async (): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, GATHER_MS));
    const all = gathered;
    gathered = [];
    storing = null;
    await postponeJobs(db, all);
  };
  return (job: ClaimedJob, seconds: number): Promise<void> => {
    gathered.push({ job, seconds });
    storing ??= store();
    return storing;
  };
}
