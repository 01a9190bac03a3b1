import { InvalidInputError, NotFoundError } from '../services/errors.ts';
import { createUploadToken, type MadeToken } from '../services/upload-tokens.ts';
import { builder } from './builder.ts';

const CreateUploadTokenInput = builder.inputType('CreateUploadTokenInput', {
  fields: (t) => ({
    teamId: t.id({ description: "Left out: the team of the index named, else the key's default team." }),
    indexId: t.id({
      description: "The index that its video is for; the team's default index when left out.",
    }),
    maxBytes: t.field({
      type: 'BigInt',
      description: "What its upload may have at most; the server's limit when left out.",
    }),
    expiresInSeconds: t.int({ required: true, defaultValue: 3600, description: '60 to 86400.' }),
  }),
});

const CreateUploadTokenSuccess = builder.objectRef<MadeToken>('CreateUploadTokenSuccess').implement({
  fields: (t) => ({
    token: t.exposeString('token', { description: 'Told once; used like a key.' }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime' }),
  }),
});

builder.mutationField('createUploadToken', (t) =>
  t.field({
    scope: 'WRITE',
    type: CreateUploadTokenSuccess,
    description:
      'A token for a browser: it may begin and finish one upload, make one task of it by createTask, and read that by task and taskProgress, but nothing else. It ends by its time, and with the key that made it.',
    args: { input: t.arg({ type: CreateUploadTokenInput, required: true }) },
    errors: {
      types: [InvalidInputError, NotFoundError],
      union: { name: 'CreateUploadTokenResult' },
    },
    resolve: (_root, { input }, { services, viewer }) => createUploadToken(services, viewer, input),
  }),
);
