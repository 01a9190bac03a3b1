import { SourceError } from '../sources/errors.ts';
import type { SourceFile } from '../sources/source.ts';
import type { Services } from './deps.ts';
import type { TaskRow } from './end-task.ts';
import { openUrl } from './source-urls.ts';

/**
 * The file that a task brings in from elsewhere.
 * @throws {SourceError} SOURCE_NOT_FOUND when its integration is gone; what opening that ends with otherwise
 */
export async function fileOf(services: Services, task: TaskRow): Promise<SourceFile> {
  const { sourceUrl, integrationId, sourceKey } = task;
  if (sourceUrl !== null) return services.urlFile(openUrl(services.secrets, sourceUrl, task.teamId));
  if (integrationId === null || sourceKey === null) throw new Error(`task ${task.id} has no source`);
  const row = await services.db.query.integrations.findFirst({ where: { id: integrationId } });
  if (!row)
    throw new SourceError('SOURCE_NOT_FOUND', 'The integration that the file was to come from is deleted.');
  return services.integrationSources.of(row).file(sourceKey);
}
