import { defineRelations } from 'drizzle-orm';
import { deletedTasks } from './tables/deleted-tasks.ts';
import { videoFingerprintBands, videoFingerprints } from './tables/fingerprints.ts';
import { idempotencyKeys } from './tables/idempotency-keys.ts';
import * as imports from './tables/imports.ts';
import * as indexes from './tables/indexes.ts';
import { integrations } from './tables/integrations.ts';
import { jobs } from './tables/jobs.ts';
import * as tasks from './tables/tasks.ts';
import * as teams from './tables/teams.ts';
import * as uploads from './tables/uploads.ts';
import * as videos from './tables/videos.ts';
import * as webhooks from './tables/webhooks.ts';

/** Every table, under the names that relational queries use. */
export const tables = {
  teams: teams.teams,
  apiKeys: teams.apiKeys,
  apiKeyTeams: teams.apiKeyTeams,
  teamUsage: teams.teamUsage,
  teamUsageChanges: teams.teamUsageChanges,
  rateLimits: teams.rateLimits,
  indexes: indexes.indexes,
  integrations,
  imports: imports.imports,
  importEntries: imports.importEntries,
  failedFiles: imports.failedFiles,
  idempotencyKeys,
  tasks: tasks.tasks,
  taskProgress: tasks.taskProgress,
  deletedTasks,
  videos: videos.videos,
  videoKeys: videos.videoKeys,
  contentClaims: videos.contentClaims,
  sourceVersions: videos.sourceVersions,
  videoFingerprints,
  videoFingerprintBands,
  webhookDeliveries: webhooks.webhookDeliveries,
  webhookSecrets: webhooks.webhookSecrets,
  uploads: uploads.uploads,
  uploadTokens: uploads.uploadTokens,
  jobs,
};

export const relations = defineRelations(tables, (r) => ({
  indexes: {
    team: r.one.teams({ from: r.indexes.teamId, to: r.teams.id, optional: false }),
  },
  integrations: {
    team: r.one.teams({ from: r.integrations.teamId, to: r.teams.id, optional: false }),
    imports: r.many.imports({ from: r.integrations.id, to: r.imports.integrationId }),
  },
  imports: {
    team: r.one.teams({ from: r.imports.teamId, to: r.teams.id, optional: false }),
    index: r.one.indexes({ from: r.imports.indexId, to: r.indexes.id }),
    integration: r.one.integrations({ from: r.imports.integrationId, to: r.integrations.id }),
    tasks: r.many.tasks({ from: r.imports.id, to: r.tasks.importId }),
    failedFiles: r.many.failedFiles({ from: r.imports.id, to: r.failedFiles.importId }),
    webhookDeliveries: r.many.webhookDeliveries({ from: r.imports.id, to: r.webhookDeliveries.importId }),
  },
  tasks: {
    team: r.one.teams({ from: r.tasks.teamId, to: r.teams.id, optional: false }),
    import: r.one.imports({ from: r.tasks.importId, to: r.imports.id }),
    index: r.one.indexes({ from: r.tasks.indexId, to: r.indexes.id, optional: false }),
    video: r.one.videos({ from: r.tasks.videoId, to: r.videos.id }),
    integration: r.one.integrations({ from: r.tasks.integrationId, to: r.integrations.id }),
    upload: r.one.uploads({ from: r.tasks.uploadId, to: r.uploads.id }),
    live: r.one.taskProgress({ from: r.tasks.id, to: r.taskProgress.taskId }),
  },
  videos: {
    team: r.one.teams({ from: r.videos.teamId, to: r.teams.id, optional: false }),
    index: r.one.indexes({ from: r.videos.indexId, to: r.indexes.id, optional: false }),
    tasks: r.many.tasks({ from: r.videos.id, to: r.tasks.videoId }),
  },
}));
