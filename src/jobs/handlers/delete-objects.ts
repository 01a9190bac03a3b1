import { deleteObjects as definition } from '../definitions.ts';
import type { JobHandler } from '../handler.ts';
import type { HandlerDeps } from './deps.ts';

/** Deletes the bytes that nothing points to any more. */
export function createDeleteObjectsHandler({
  storage,
}: HandlerDeps): JobHandler<{ prefix: string; keep: string | null }> {
  return {
    definition,
    async run({ payload: { prefix, keep } }) {
      if (keep === null) return await storage.delete(prefix);
      for await (const key of storage.list(prefix, { partials: true })) {
        if (!key.startsWith(`${keep}/`)) await storage.delete(key);
      }
    },
  };
}
