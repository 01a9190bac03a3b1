import { InvalidInputError, NotFoundError } from '../services/errors.ts';
import { redeliverWebhook } from '../services/webhook.ts';
import { rotateWebhookSecret } from '../services/webhook-secrets.ts';
import { builder } from './builder.ts';
import { importSuccess } from './success.ts';
import { Team } from './team.ts';

const RotateWebhookSecretSuccess = builder
  .objectRef<{ readonly teamId: string }>('RotateWebhookSecretSuccess')
  .implement({
    fields: (t) => ({
      team: t.drizzleField({
        type: Team,
        resolve: async (query, { teamId }, _args, { db }) => {
          const row = await db.query.teams.findFirst(query({ where: { id: teamId } }));
          if (!row) throw new Error(`team ${teamId} is gone`);
          return row;
        },
      }),
    }),
  });

builder.mutationFields((t) => ({
  redeliverWebhook: t.field({
    scope: 'WRITE',
    type: importSuccess('RedeliverWebhookSuccess'),
    description:
      'Sends the webhook of a finished import once more, with the same webhook-id and body, whatever became of it.',
    args: { importId: t.arg.id({ required: true }) },
    errors: { types: [NotFoundError, InvalidInputError], union: { name: 'RedeliverWebhookResult' } },
    resolve: async (_root, { importId }, { services, viewer }) => ({
      importId: await redeliverWebhook(services, viewer, importId),
    }),
  }),
  rotateWebhookSecret: t.field({
    scope: 'ADMIN',
    type: RotateWebhookSecretSuccess,
    description: 'Gives the team another secret; the old one signs too for 24 hours more.',
    args: { teamId: t.arg.id({ description: "The key's default team when left out." }) },
    errors: { types: [NotFoundError], union: { name: 'RotateWebhookSecretResult' } },
    resolve: async (_root, { teamId }, { services, viewer }) => ({
      teamId: await rotateWebhookSecret(services, viewer, teamId ?? null),
    }),
  }),
}));
