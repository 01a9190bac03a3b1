import type { JobHandler, JobHandlers } from '../handler.ts';
import { createCancelImportHandler } from './cancel-import.ts';
import { createDeleteImportHandler } from './delete-import.ts';
import { createDeleteObjectsHandler } from './delete-objects.ts';
import { createDeliverWebhookHandler, type DeliverySettings } from './deliver-webhook.ts';
import type { HandlerDeps } from './deps.ts';
import { createIndexVideoHandler } from './index-video.ts';
import { createPlanImportHandler } from './plan-import.ts';
import { createProcessVideoHandler } from './process-video.ts';
import { createRemoveExpiredHandler } from './remove-expired.ts';
import { createRetryImportHandler } from './retry-import.ts';
import { createSettleContentHandler } from './settle-content.ts';
import { heldBack, type StorageGate, watchedBy } from './storage-gate.ts';
import { createSweepStorageHandler } from './sweep-storage.ts';
import { createTransferVideoHandler } from './transfer-video.ts';

// Each handler parses its own payload; the list forgets which payload is whose.
const untyped = <P>(handler: JobHandler<P>) => handler as unknown as JobHandler<unknown>;

interface HandlersDeps extends HandlerDeps {
  /** Holds transfers back while the storage is full. */
  readonly gate: StorageGate;
  /** How long all of a finished import is kept, in days; 0: for ever. */
  readonly retainDays: number;
  readonly delivery: DeliverySettings;
}

/** Everything that jobs do. */
export function createHandlers({ gate, retainDays, delivery, ...deps }: HandlersDeps): JobHandlers {
  const transfer = createTransferVideoHandler({ ...deps, progress: watchedBy(gate, deps.progress) });
  return [
    untyped(createPlanImportHandler(deps)),
    untyped(heldBack(transfer, gate)),
    untyped(createIndexVideoHandler(deps)),
    untyped(createProcessVideoHandler(deps)),
    untyped(createSettleContentHandler(deps)),
    untyped(createDeleteObjectsHandler(deps)),
    untyped(createSweepStorageHandler(deps)),
    untyped(createRemoveExpiredHandler(deps, { retainDays })),
    untyped(createDeleteImportHandler(deps)),
    untyped(createCancelImportHandler(deps)),
    untyped(createRetryImportHandler(deps)),
    untyped(createDeliverWebhookHandler(deps, delivery)),
  ];
}
