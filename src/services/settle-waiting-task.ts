import { transaction } from '../db/transaction.ts';
import { enqueuedIn } from '../jobs/queue.ts';
import type { Services } from './deps.ts';
import { failTask, lockOpenTask, type TaskRow } from './end-task.ts';
import { NoRoomError } from './errors.ts';
import { decide, toStored } from './settle-task.ts';

/**
 * Decides about one task that waited for the same content, after the one that held it has ended. One that its team has no
 * room for any more fails.
 * @returns the task; WAITS when another unfinished task holds the content by now; null when it had been decided about
 */
export async function settleWaitingTask(
  services: Services,
  taskId: string,
): Promise<TaskRow | 'WAITS' | null> {
  const settled = await settle(services, taskId).catch((error: unknown) => {
    if (error instanceof NoRoomError) return fail(services, taskId, error);
    throw error;
  });
  if (!settled) return null;
  services.changes.announce(settled.task);
  for (const kind of settled.kinds) services.jobs.wake(kind);
  return settled.waits ? 'WAITS' : settled.task;
}

interface Settled {
  readonly task: TaskRow;
  readonly waits: boolean;
  /** Of the jobs that it has led to. */
  readonly kinds: readonly string[];
}

async function settle(services: Services, taskId: string): Promise<Settled | null> {
  return await transaction(services.db, async (tx) => {
    const locked = await lockOpenTask(tx, taskId);
    if (locked?.waitingFor !== 'SAME_CONTENT') return null;
    await decide(tx, toStored(locked), services);
    const after = await tx.query.tasks.findFirst({ where: { id: taskId }, columns: { waitingFor: true } });
    return { task: locked, waits: after?.waitingFor === 'SAME_CONTENT', kinds: enqueuedIn(tx) };
  });
}

/** What it would have taken a claim on is free for the next that waits: the transaction that took it was rolled back. */
async function fail(services: Services, taskId: string, { stored }: NoRoomError): Promise<Settled | null> {
  return await transaction(services.db, async (tx) => {
    const locked = await lockOpenTask(tx, taskId);
    if (locked?.waitingFor !== 'SAME_CONTENT') return null;
    await failTask(tx, locked, stored);
    return { task: locked, waits: false, kinds: enqueuedIn(tx) };
  });
}
