import type { z } from 'zod';
import type { CallReport, Ready } from './child-call.ts';

/** The program that children of a pool run, and what it may take and say. */
export interface ChildProgram<Said extends CallReport> {
  /** The script. */
  readonly path: string;
  readonly memoryBytes: number;
  /** Node's own heap, in MiB: far below the limit for all, for what media needs lies outside of it. */
  readonly heapMib: number;
  /** What a child may say; anything else ends it. */
  readonly reports: z.ZodType<Ready | Said>;
  /** The longest message of a child, in bytes. */
  readonly longestReport: number;
  /** After how many calls it takes no more. */
  readonly maxCalls: number;
  /** After how many milliseconds it takes no more. */
  readonly maxAgeMs: number;
  /** How many calls that need no child to themselves it has at once. */
  readonly maxShared: number;
  /** How long it may take to leave a call that nobody waits for; 0: it is killed at once. */
  readonly stopGraceMs: number;
}
