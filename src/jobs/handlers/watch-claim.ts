import type { Services } from '../../services/deps.ts';
import { LeaseLostError } from '../errors.ts';
import type { ClaimedJob } from '../job.ts';
import { holdsClaim } from '../queue.ts';

/** A lease notices that its claim is over at its next beat; a canceled task should not keep cores busy for so long. */
const LOOK_MS = 1_000;

/** Looks every second whether a claim is over. */
export interface ClaimWatch {
  /** Aborted with LeaseLostError when it is, or when the signal is that it was made with. */
  readonly signal: AbortSignal;
  /** It has turned out to be over. */
  readonly lose: () => void;
  end(): void;
}

/** Watches the claim of a job whose run takes long and holds much. */
export function watchClaim({ db }: Pick<Services, 'db'>, job: ClaimedJob, signal: AbortSignal): ClaimWatch {
  const lost = new AbortController();
  const lose = () => lost.abort(new LeaseLostError(job));
  let timer: NodeJS.Timeout | null = null;
  let hasEnded = false;
  const lookLater = () => {
    if (hasEnded || lost.signal.aborted) return;
    timer = setTimeout(look, LOOK_MS);
  };
  const look = () => {
    holdsClaim(db, job).then(
      (isHeld) => {
        if (!isHeld) lose();
        lookLater();
      },
      // A database that is away says nothing about the claim; the lease sees to that.
      lookLater,
    );
  };
  lookLater();
  return {
    signal: AbortSignal.any([signal, lost.signal]),
    lose,
    end() {
      hasEnded = true;
      if (timer !== null) clearTimeout(timer);
    },
  };
}
