import type { z } from 'zod';
import { keptFolders } from '../../services/kept-folders.ts';
import { deleteObjects as definition } from '../definitions.ts';
import type { JobHandler } from '../handler.ts';
import type { HandlerDeps } from './deps.ts';

type Payload = z.output<typeof definition.schema>;

/**
 * Deletes the bytes that nothing points to any more. What a video has in place stays, whatever was planned: it may have
 * come from a task that was tried again since.
 */
export function createDeleteObjectsHandler({ services, storage }: HandlerDeps): JobHandler<Payload> {
  return {
    definition,
    async run({ id, payload }) {
      const { prefix, keep, lastClaim } = payload;
      const keys: string[] = [];
      for await (const key of storage.list(prefix, { partials: true })) keys.push(key);
      const kept = await keptFolders(services.db, { jobId: id, prefix, keys });
      if (keep !== null) kept.push(keep);
      for (const key of keys) {
        const isKept = kept.some((folder) => key.startsWith(`${folder}/`));
        if (!isKept && !isNewer(key.slice(prefix.length + 1), lastClaim)) await storage.delete(key);
      }
      // Beside an upload lies what its store keeps of it, under names that are no keys.
      if (prefix.startsWith('uploads/')) await storage.delete(prefix);
    },
  };
}

/** Below a task's prefix comes the number of the claim that wrote it. */
function isNewer(rest: string, lastClaim: string | null): boolean {
  const claim = /^\d+/.exec(rest)?.[0];
  return lastClaim !== null && claim !== undefined && BigInt(claim) > BigInt(lastClaim);
}
