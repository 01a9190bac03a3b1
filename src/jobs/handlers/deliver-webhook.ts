import { abandonWebhook, deliverWebhook } from '../../services/deliver-webhook.ts';
import { createReceiverLimit } from '../../services/receiver-limit.ts';
import { deliverWebhook as definition } from '../definitions.ts';
import type { JobHandler } from '../handler.ts';
import type { HandlerDeps } from './deps.ts';

/** How messages are delivered. */
export interface DeliverySettings {
  /** How long a receiver may take to answer. */
  readonly timeoutSeconds: number;
  /** What the waits between two tries are multiplied by. */
  readonly scale: number;
}

/** Tells receivers of imports that have ended. */
export function createDeliverWebhookHandler(
  { services }: Pick<HandlerDeps, 'services'>,
  settings: DeliverySettings,
): JobHandler<object> {
  const limit = createReceiverLimit();
  return {
    definition,
    run: (job, { signal }) => deliverWebhook(services, job, { ...settings, signal, limit }),
    onFailed: (tx, job) => abandonWebhook(tx, job.subjectId),
  };
}
