import { findLie, type Made } from './believe.ts';
import type { ChildCall, ChildLine, Heard } from './child-call.ts';
import { MediaNoRoomError, MediaRejectedError } from './errors.ts';
import { createPending } from './pending.ts';
import type { Product } from './products.ts';
import type { WorkAccount } from './work-account.ts';
import type { WorkReport, WorkTask } from './work-messages.ts';

/** One call of the work pool as it is asked for it. */
export interface WorkRequest {
  readonly task: WorkTask;
  readonly signal: AbortSignal;
  /** How long its child may work for it, in milliseconds. */
  readonly deadlineMs: number;
  /** How long its child may be silent, in milliseconds. */
  readonly silenceMs: number;
  /** Of the file, in seconds. */
  readonly duration: number;
  /** Whether it must have a child that has done nothing else. */
  readonly fresh: boolean;
  /** Told what can be believed. */
  readonly account: WorkAccount;
}

/** A call on its way. It succeeds when each of its products has an outcome. */
export interface WorkCall extends ChildCall<WorkReport> {
  readonly result: Promise<void>;
  /** Settles when every outcome that was sent is looked at and told: they count, also when the child has died since. */
  checked(): Promise<void>;
}

type LastWord = Exclude<WorkReport, { type: 'progress' | 'made' | 'refused' }>;

/** Errors of the system that mean: there is no room. */
const NO_ROOM = new Set(['ENOSPC', 'EDQUOT']);

/** @param onGivenUp called once when the call fails for a reason of its own, while its child may still be at it */
export function createWorkCall(request: WorkRequest, onGivenUp: (call: WorkCall) => void): WorkCall {
  const { task, duration, account } = request;
  const pending = createPending<void>(request.signal, () => onGivenUp(call));
  const open = new Set<Product>(task.products);
  let isLiar = false;
  let checks: Promise<void> = Promise.resolve();

  /** What was sent is believed in its order, and not before the files that it names were looked at. */
  function next(step: () => void | Promise<void>): void {
    checks = checks.then(step).catch(pending.giveUp);
  }

  async function check(made: Made, line: ChildLine): Promise<void> {
    const lie = isLiar ? null : await findLie(made, { folder: task.folder, duration });
    if (isLiar || lie !== null) condemn(line, `${made.product}: ${lie}`);
    else account.made(made);
  }

  function condemn(line: ChildLine, problem: string): Heard {
    isLiar = true;
    line.condemn(problem);
    return 'MORE';
  }

  async function end(report: LastWord): Promise<Heard> {
    await checks;
    if (isLiar) return 'MORE';
    if (report.type === 'done') pending.succeed();
    else pending.fail(errorOf(report));
    return 'LAST';
  }

  const call: WorkCall = {
    order: task,
    deadlineMs: request.deadlineMs,
    silenceMs: request.silenceMs,
    result: pending.result,
    alone: true,
    fresh: request.fresh,
    workedMs: 0,
    heardAtMs: 0,
    restart: () => {},
    isWaiting: () => false,
    isSettled: pending.isSettled,
    fail: pending.fail,
    checked: () => checks,
    hear(report, line) {
      if (report.type === 'progress') {
        if (open.has(report.product)) account.progress(report.product, report.fraction);
        return 'MORE';
      }
      if (report.type !== 'made' && report.type !== 'refused') {
        const isEarly = report.type === 'done' && open.size > 0;
        return isEarly ? condemn(line, `nothing of ${[...open].join(', ')}`) : end(report);
      }
      const { outcome } = report;
      if (!open.delete(outcome.product)) return condemn(line, `an outcome of ${outcome.product}`);
      next(() => {
        if ('result' in outcome) return check(outcome, line);
        account.fail(outcome.product, outcome.error);
      });
      return 'MORE';
    },
  };
  return call;
}

function errorOf(report: Exclude<LastWord, { type: 'done' }>): Error {
  if (report.type === 'rejected') return new MediaRejectedError(report.code, report.message);
  if (NO_ROOM.has(report.code)) return new MediaNoRoomError('There is no room for what is made of the file.');
  return Object.assign(new Error(report.message), { code: report.code });
}
