import { SourceError } from '../sources/errors.ts';
import type { ListingPage } from '../sources/source.ts';
import type { Services } from './deps.ts';
import { ImportAlreadyRunningError, SourceUnavailableError } from './errors.ts';
import { listingFault } from './import-fault.ts';
import type { Target } from './import-target.ts';
import { limitTime } from './time-limit.ts';

/**
 * Lists the first page of what an import from an integration asks for, before anything is stored: what cannot be listed
 * at all is told at once.
 * @returns null for an import of named entries, and when the source does not answer in time or may answer later: a worker
 *   tries again then
 * @throws {ImportAlreadyRunningError}
 * @throws {SourceUnavailableError} when trying again would not change it
 */
export async function firstPage(
  services: Services,
  { integration }: Target,
  asked: { readonly prefix?: string | null | undefined } | null | undefined,
): Promise<ListingPage | null> {
  if (asked == null || integration === null) return null;
  const running = await services.db.query.imports.findFirst({
    where: { integrationId: integration.id, source: 'INTEGRATION', finishedAt: { isNull: true } },
    columns: { id: true },
  });
  if (running) throw new ImportAlreadyRunningError(running.id);
  const limit = limitTime(new AbortController().signal, services.planSeconds * 1000);
  try {
    const source = services.integrationSources.of(integration);
    const { signal } = limit;
    return await source.list({ prefix: asked.prefix ?? null, position: null, signal });
  } catch (error) {
    if (limit.isOver() || (error instanceof SourceError && error.retryable)) return null;
    if (!(error instanceof SourceError)) throw error;
    const { code, message } = listingFault(error);
    throw new SourceUnavailableError(code, message);
  } finally {
    limit.end();
  }
}
