import { builder } from './builder.ts';

const VideoInput = builder.inputType('VideoInput', {
  description:
    'Exactly one of url and uploadId. An upload may still be going on (the task is PENDING) and is used once.',
  fields: (t) => ({
    externalId: t.string({ required: true, description: '1 to 255 characters.' }),
    url: t.string({ description: 'https or http.' }),
    uploadId: t.id({ description: 'The last segment of the URL that the tus upload was given.' }),
    fileName: t.string({ required: true, description: '1 to 255 characters.' }),
    name: t.string({ description: '1 to 255 characters; the fileName when left out.' }),
    description: t.string({ description: 'Up to 511 characters.' }),
    metadata: t.field({ type: 'Metadata' }),
    sha256: t.string({
      description: 'Of the whole file, in hex. A file that is not this one fails with CHECKSUM_MISMATCH.',
    }),
  }),
});

const VideosSourceInput = builder.inputType('VideosSourceInput', {
  description:
    'The pair (systemName, externalId) names at most one video in an index. Known, with another content, name, description or metadata: UPDATED, the video keeps its id, what is left out stays, metadata given replaces the old. Known, with nothing new: SKIPPED, SAME_RECORD. The pair goes before incremental. Twice in one call: the second is rejected, DUPLICATE_IN_REQUEST.',
  fields: (t) => ({
    systemName: t.string({ required: true, description: '1 to 255 characters.' }),
    videos: t.field({ type: [VideoInput], required: true, description: '1 to 10,000 of them.' }),
  }),
});

const ObjectInput = builder.inputType('ObjectInput', {
  description:
    "key: 1 to 1024 bytes of UTF-8; in a folder, the path below it with /. fileName: the key's last segment when left out. name: the fileName when left out. name and fileName: 1 to 255 characters, description: up to 511.",
  fields: (t) => ({
    key: t.string({ required: true }),
    name: t.string(),
    description: t.string(),
    fileName: t.string(),
    metadata: t.field({ type: 'Metadata' }),
  }),
});

const ObjectsSourceInput = builder.inputType('ObjectsSourceInput', {
  description:
    'Objects have no pair: a key with new content makes a new video. Twice in one call: the second is rejected, DUPLICATE_IN_REQUEST.',
  fields: (t) => ({
    integrationId: t.id({ required: true }),
    objects: t.field({ type: [ObjectInput], required: true, description: '1 to 10,000 of them.' }),
  }),
});

const IntegrationSourceInput = builder.inputType('IntegrationSourceInput', {
  description: 'prefix: of the keys or paths; with it, only that part counts as found.',
  fields: (t) => ({
    integrationId: t.id({ required: true }),
    prefix: t.string({ description: 'Up to 1024 characters.' }),
  }),
});

const ImportSourceInput = builder.inputType('ImportSourceInput', {
  description: 'Exactly one.',
  isOneOf: true,
  fields: (t) => ({
    integration: t.field({
      type: IntegrationSourceInput,
      description: 'Everything that a source set up before holds.',
    }),
    objects: t.field({ type: ObjectsSourceInput, description: 'Named objects of a source set up before.' }),
    videos: t.field({
      type: VideosSourceInput,
      description: 'Videos by URL or upload, as known to the system they come from.',
    }),
  }),
});

const WebhookInput = builder.inputType('WebhookInput', {
  description: 'url: https or http to a public address, else InvalidInputError.',
  fields: (t) => ({ url: t.string({ required: true }) }),
});

export const StartImportInput = builder.inputType('StartImportInput', {
  fields: (t) => ({
    from: t.field({ type: ImportSourceInput, required: true }),
    indexId: t.id({ description: "The team's default index when left out." }),
    teamId: t.id({
      description:
        "Left out: the team of the index, integration or upload named, else the key's default team. Ids of different teams: NotFoundError.",
    }),
    incremental: t.boolean({
      required: true,
      defaultValue: true,
      description:
        'true: a file whose content (SHA-256) the index holds already is SKIPPED, SAME_CONTENT. false: it becomes one more video.',
    }),
    retryFailed: t.boolean({
      required: true,
      defaultValue: false,
      description:
        'Only for from.integration. false: a file whose latest task in this index is FAILED, and that is still the same, is SKIPPED, FAILED_BEFORE. Files named in objects or videos, and files that were rejected, are judged anew in any case.',
    }),
    metadata: t.field({ type: 'Metadata', description: 'For every video of this import.' }),
    fullIngestion: t.boolean({
      required: true,
      defaultValue: false,
      description:
        'false: the video is stored, hashed and probed, and no analyzer runs. true: the analyzers of the index run, and HLS is made.',
    }),
    enableVideoStream: t.boolean({
      required: true,
      defaultValue: false,
      description: 'true: HLS is made, whatever fullIngestion says. The original file is kept either way.',
    }),
    webhook: t.field({ type: WebhookInput, description: 'Is told each time that the import has finished.' }),
    context: t.field({
      type: 'JSON',
      description:
        'Any JSON object, up to 8192 bytes of UTF-8: Import.context, and handed back with the webhook.',
    }),
    idempotencyKey: t.string({
      description:
        '1 to 255 characters, per team, kept 24 hours or more. The same key with the same input returns what the first call made, as it is now; with another input: IdempotencyConflictError. A call that ended in an error uses up no key.',
    }),
  }),
});
