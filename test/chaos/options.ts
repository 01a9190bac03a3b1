import { parseArgs } from 'node:util';

/** What `npm run chaos` is told. */
export interface ChaosOptions {
  readonly videos: number;
  readonly workers: number;
  readonly workerKills: number;
  readonly postgresRestarts: number;
  readonly apiKills: number;
  /** How many imports that tell a webhook of their end are run instead; 0: none. */
  readonly webhooks: number;
  readonly seed: number;
  /** Where logs and bytes stay; they are removed if it is left out. */
  readonly dir: string | null;
}

export const USAGE = `Usage: npm run chaos -- [OPTIONS]

An import of small videos, once as it is and once while processes are killed; then everything is looked at.

  --videos N              how many videos (2000)
  --workers N             worker processes (4)
  --worker-kills N        SIGKILLs of workers (50)
  --postgres-restarts N   ends of PostgreSQL without a word (5)
  --api-kills N           SIGKILLs of the API, the first in the call that starts the import (5)
  --webhooks N            instead: N imports of one video, each told of by a webhook, with a kill every fifth import
  --seed N                the same seed scatters the faults in the same way
  --dir PATH              keeps logs and the list of take-overs there
`;

/**
 * Reads the arguments.
 * @returns null when help is asked for
 * @throws Error saying what cannot be read
 */
export function readOptions(args: readonly string[]): ChaosOptions | null {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      videos: text,
      workers: text,
      'worker-kills': text,
      'postgres-restarts': text,
      'api-kills': text,
      webhooks: text,
      seed: text,
      dir: text,
      help: { type: 'boolean' },
    },
  });
  if (values.help) return null;
  return {
    videos: count('--videos', values.videos, { fallback: 2000, min: 1 }),
    workers: count('--workers', values.workers, { fallback: 4, min: 1 }),
    workerKills: count('--worker-kills', values['worker-kills'], { fallback: 50 }),
    postgresRestarts: count('--postgres-restarts', values['postgres-restarts'], { fallback: 5 }),
    apiKills: count('--api-kills', values['api-kills'], { fallback: 5 }),
    webhooks: count('--webhooks', values.webhooks, { fallback: 0 }),
    seed: count('--seed', values.seed, { fallback: Math.floor(Math.random() * 2 ** 32) }),
    dir: values.dir ?? null,
  };
}

function count(
  name: string,
  text: string | undefined,
  { fallback, min = 0 }: { readonly fallback: number; readonly min?: number },
): number {
  if (text === undefined) return fallback;
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= min) return number;
  throw new Error(`${name} must be a whole number from ${min} on, not "${text}"`);
}
