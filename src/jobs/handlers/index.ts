import type { JobHandler, JobHandlers } from '../handler.ts';
import { createDeleteObjectsHandler } from './delete-objects.ts';
import type { HandlerDeps } from './deps.ts';
import { createIndexVideoHandler } from './index-video.ts';
import { createPlanImportHandler } from './plan-import.ts';
import { createSettleContentHandler } from './settle-content.ts';
import { createTransferVideoHandler } from './transfer-video.ts';

// Each handler parses its own payload; the list forgets which payload is whose.
const untyped = <P>(handler: JobHandler<P>) => handler as unknown as JobHandler<unknown>;

/** Everything that jobs do. */
export function createHandlers(deps: HandlerDeps): JobHandlers {
  return [
    untyped(createPlanImportHandler(deps)),
    untyped(createTransferVideoHandler(deps)),
    untyped(createIndexVideoHandler(deps)),
    untyped(createSettleContentHandler(deps)),
    untyped(createDeleteObjectsHandler(deps)),
  ];
}
