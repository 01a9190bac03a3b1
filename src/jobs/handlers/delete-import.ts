import { deleteRest } from '../../services/delete-import.ts';
import { deleteImport as definition } from '../definitions.ts';
import type { JobHandler } from '../handler.ts';
import type { HandlerDeps } from './deps.ts';

/** Removes what a call of deleteImport had no time for. */
export function createDeleteImportHandler({ services }: Pick<HandlerDeps, 'services'>): JobHandler<object> {
  return {
    definition,
    async run(job, { signal }) {
      const isOver = await deleteRest(services, job, { signal });
      if (!isOver) signal.throwIfAborted();
    },
  };
}
