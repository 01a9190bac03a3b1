import type { SourceFile } from '../sources/source.ts';
import type { Services } from './deps.ts';
import { limitTime } from './time-limit.ts';

/** A look is worth waiting for no longer than this: without it, the transfer tells. */
const LOOK_MS = 3_000;

/**
 * The version of an object that came into the index before, if the object still is that version: its task then needs no
 * transfer. Null when it is another, or cannot be told now.
 */
export async function unchangedVersion(
  services: Services,
  file: SourceFile,
  { indexId, sourceHash }: { readonly indexId: string; readonly sourceHash: string },
): Promise<string | null> {
  const known = await services.db.query.sourceVersions.findFirst({ where: { indexId, source: sourceHash } });
  if (!known) return null;
  const limit = limitTime(new AbortController().signal, LOOK_MS);
  try {
    const { signal } = limit;
    return await services.originLimit(file.origin, signal, async () => {
      const opened = await file.open({ knownVersion: known.version, signal });
      opened.close();
      return opened.version === known.version ? known.version : null;
    });
  } catch (error) {
    services.log.debug({ err: error }, 'whether an object is unchanged could not be told');
    return null;
  } finally {
    limit.end();
  }
}
