import { type StoredAttempt, WEBHOOK_STATES } from '../db/tables/webhooks.ts';
import type { WebhookStatus } from '../services/webhook.ts';
import { builder } from './builder.ts';
import { known } from './known.ts';

const WebhookState = builder.enumType('WebhookState', {
  description:
    'WAITING: the import runs, or the first attempt is still to come. RETRYING: the latest attempt failed, another one follows. GAVE_UP: all attempts failed, or the receiver answered with 410.',
  values: WEBHOOK_STATES,
});

const WebhookAttempt = builder.objectRef<StoredAttempt>('WebhookAttempt').implement({
  description:
    'statusCode: null when no answer came. error: null when it was received, that is, answered with 2xx.',
  fields: (t) => ({
    at: t.field({ type: 'DateTime', resolve: ({ at }) => new Date(at) }),
    statusCode: t.exposeInt('statusCode', { nullable: true }),
    error: t.exposeString('error', { nullable: true }),
    durationMs: t.exposeInt('durationMs'),
  }),
});

/** No more are kept. */
const ATTEMPTS_COST = { field: 1, multiplier: 20 };

export const Webhook = builder.objectRef<WebhookStatus>('Webhook').implement({
  description:
    'Sent once each time that the import finishes, so again after a retry, with another webhook-id; this is the latest sending. The message is that of Standard Webhooks 1.0, type import.finished.',
  fields: (t) => ({
    url: t.exposeString('url'),
    state: t.field({ type: WebhookState, resolve: ({ state }) => known(WEBHOOK_STATES, state) }),
    nextAttemptAt: t.expose('nextAttemptAt', { type: 'DateTime', nullable: true }),
    attempts: t.expose('attempts', {
      type: [WebhookAttempt],
      complexity: ATTEMPTS_COST,
      description: 'The latest 20.',
    }),
  }),
});
