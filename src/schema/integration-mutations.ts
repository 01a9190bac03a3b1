import {
  ImportAlreadyRunningError,
  InvalidInputError,
  NotFoundError,
  SourceUnavailableError,
} from '../services/errors.ts';
import { createIntegration, deleteIntegration, updateIntegration } from '../services/integrations.ts';
import { builder } from './builder.ts';
import { Integration } from './integration.ts';
import './source-errors.ts';

const S3CredentialsInput = builder.inputType('S3CredentialsInput', {
  fields: (t) => ({
    accessKeyId: t.string({ required: true }),
    secretAccessKey: t.string({ required: true }),
    sessionToken: t.string(),
  }),
});

const S3Input = builder.inputType('S3Input', {
  description:
    'endpoint: for S3-compatible stores; left out for AWS. credentials: stored encrypted and never read back; left out for a public bucket.',
  fields: (t) => ({
    bucket: t.string({ required: true }),
    prefix: t.string({ description: 'Of the keys that belong to it; up to 1024 bytes of UTF-8.' }),
    region: t.string({ description: 'us-east-1 when left out.' }),
    endpoint: t.string(),
    forcePathStyle: t.boolean({
      required: true,
      defaultValue: false,
      description: 'The bucket in the path of the URL, not in its host: most S3-compatible stores want that.',
    }),
    credentials: t.field({ type: S3CredentialsInput }),
  }),
});

const FolderInput = builder.inputType('FolderInput', {
  description: "Only below a folder that the server's operator has allowed.",
  fields: (t) => ({ path: t.string({ required: true, description: 'Absolute.' }) }),
});

const LocationInput = builder.inputType('LocationInput', {
  isOneOf: true,
  fields: (t) => ({ s3: t.field({ type: S3Input }), folder: t.field({ type: FolderInput }) }),
});

const CreateIntegrationInput = builder.inputType('CreateIntegrationInput', {
  fields: (t) => ({
    teamId: t.id({ description: "The key's default team when left out." }),
    name: t.string({ required: true, description: '1 to 255 characters.' }),
    location: t.field({ type: LocationInput, required: true }),
  }),
});

const UpdateIntegrationInput = builder.inputType('UpdateIntegrationInput', {
  description:
    'location replaces the old one and may not change its kind; the stored credentials stay if it gives none, but not with another endpoint or bucket. While an import runs from it, it may be given another name and other credentials.',
  fields: (t) => ({
    id: t.id({ required: true }),
    name: t.string({ description: '1 to 255 characters.' }),
    location: t.field({ type: LocationInput }),
  }),
});

interface Stored {
  readonly integrationId: string;
}

const success = (name: string) =>
  builder.objectRef<Stored>(name).implement({
    fields: (t) => ({
      integration: t.drizzleField({
        type: Integration,
        resolve: async (query, { integrationId }, _args, { db }) => {
          const row = await db.query.integrations.findFirst(query({ where: { id: integrationId } }));
          if (!row) throw new Error(`integration ${integrationId} is gone`);
          return row;
        },
      }),
    }),
  });

const CreateIntegrationSuccess = success('CreateIntegrationSuccess');
const UpdateIntegrationSuccess = success('UpdateIntegrationSuccess');
const DeleteIntegrationSuccess = builder
  .objectRef<{ readonly deletedId: string }>('DeleteIntegrationSuccess')
  .implement({ fields: (t) => ({ deletedId: t.exposeID('deletedId') }) });

builder.mutationFields((t) => ({
  createIntegration: t.field({
    scope: 'ADMIN',
    type: CreateIntegrationSuccess,
    description: 'Sets a source up, after it has been listed to see whether it can be.',
    args: { input: t.arg({ type: CreateIntegrationInput, required: true }) },
    errors: {
      types: [InvalidInputError, NotFoundError, SourceUnavailableError],
      union: { name: 'CreateIntegrationResult' },
    },
    resolve: async (_root, { input }, { services, viewer }) => ({
      integrationId: await createIntegration(services, viewer, input),
    }),
  }),
  updateIntegration: t.field({
    scope: 'ADMIN',
    type: UpdateIntegrationSuccess,
    args: { input: t.arg({ type: UpdateIntegrationInput, required: true }) },
    errors: {
      types: [InvalidInputError, NotFoundError, SourceUnavailableError, ImportAlreadyRunningError],
      union: { name: 'UpdateIntegrationResult' },
    },
    resolve: async (_root, { input }, { services, viewer }) => ({
      integrationId: await updateIntegration(services, viewer, input),
    }),
  }),
  deleteIntegration: t.field({
    scope: 'ADMIN',
    type: DeleteIntegrationSuccess,
    description: 'Imports that came from it stay, with integration null.',
    args: { id: t.arg.id({ required: true }) },
    errors: {
      types: [NotFoundError, ImportAlreadyRunningError],
      union: { name: 'DeleteIntegrationResult' },
    },
    resolve: async (_root, { id }, { services, viewer }) => {
      await deleteIntegration(services, viewer, id);
      return { deletedId: id };
    },
  }),
}));
