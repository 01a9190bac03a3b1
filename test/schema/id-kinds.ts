import type { Examples } from './operations.ts';
import type { Kind } from './team-things.ts';

/**
 * What each place of the schema that takes an id takes an id of. Whoever adds one adds a line here: from then on the
 * id of another team, of nothing and of another type are tried there.
 */
export const ID_KINDS: Readonly<Record<string, Kind>> = {
  'CreateIndexInput.teamId': 'team',
  'CreateIntegrationInput.teamId': 'team',
  'CreateTaskInput.indexId': 'index',
  'CreateTaskInput.teamId': 'team',
  'CreateUploadTokenInput.indexId': 'index',
  'CreateUploadTokenInput.teamId': 'team',
  'ImportFilter.indexId': 'index',
  'ImportFilter.integrationId': 'integration',
  'ImportFilter.teamId': 'team',
  'IntegrationSourceInput.integrationId': 'integration',
  'Mutation.cancelImport(id)': 'import',
  'Mutation.cancelTask(id)': 'task',
  'Mutation.deleteImport(id)': 'import',
  'Mutation.deleteIndex(id)': 'index',
  'Mutation.deleteIntegration(id)': 'integration',
  'Mutation.deleteTask(id)': 'task',
  'Mutation.deleteVideo(id)': 'video',
  'Mutation.redeliverWebhook(importId)': 'import',
  'Mutation.retryImport(id)': 'import',
  'Mutation.retryTask(id)': 'task',
  'Mutation.rotateWebhookSecret(teamId)': 'team',
  'ObjectsSourceInput.integrationId': 'integration',
  'Query.import(id)': 'import',
  'Query.importStatus(id)': 'import',
  'Query.index(id)': 'index',
  'Query.indexes(teamId)': 'team',
  'Query.integration(id)': 'integration',
  'Query.integrations(teamId)': 'team',
  'Query.node(id)': 'task',
  'Query.task(id)': 'task',
  'Query.video(id)': 'video',
  'ReindexVideoInput.id': 'video',
  'StartImportInput.indexId': 'index',
  'StartImportInput.teamId': 'team',
  'Subscription.importProgress(id)': 'import',
  'Subscription.taskProgress(id)': 'task',
  'TaskFilter.importId': 'import',
  'TaskFilter.indexId': 'index',
  'TaskFilter.integrationId': 'integration',
  'TaskFilter.teamId': 'team',
  'TaskFilter.videoId': 'video',
  'TaskObjectInput.integrationId': 'integration',
  'UpdateIndexInput.id': 'index',
  'TaskSourceInput.uploadId': 'upload',
  'UpdateIntegrationInput.id': 'integration',
  'UpdateVideoInput.id': 'video',
  'VideoFilter.indexId': 'index',
  'VideoFilter.teamId': 'team',
  'VideoInput.uploadId': 'upload',
};

/** The scope that each mutation takes. Whoever adds one adds a line here. */
export const MUTATION_SCOPES = {
  startImport: 'WRITE',
  cancelImport: 'WRITE',
  retryImport: 'WRITE',
  deleteImport: 'WRITE',
  createTask: 'WRITE',
  cancelTask: 'WRITE',
  retryTask: 'WRITE',
  deleteTask: 'WRITE',
  updateVideo: 'WRITE',
  deleteVideo: 'WRITE',
  reindexVideo: 'WRITE',
  createIndex: 'ADMIN',
  updateIndex: 'ADMIN',
  deleteIndex: 'ADMIN',
  redeliverWebhook: 'WRITE',
  createUploadToken: 'WRITE',
  createIntegration: 'ADMIN',
  updateIntegration: 'ADMIN',
  deleteIntegration: 'ADMIN',
  rotateWebhookSecret: 'ADMIN',
} as const;

/** Values that inputs are made of, by coordinate or type: good ones, so that the id is all that is wrong. */
export const examplesWith = ({ folder }: { readonly folder: string }): Examples => ({
  String: 'x',
  ImportSourceInput: {
    videos: {
      systemName: 'dam',
      videos: [{ externalId: 'a', url: 'http://127.0.0.1:9/a.mp4', fileName: 'a.mp4' }],
    },
  },
  TaskSourceInput: { url: 'http://127.0.0.1:9/a.mp4' },
  LocationInput: { folder: { path: folder } },
});
