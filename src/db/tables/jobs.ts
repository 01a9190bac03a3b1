import { sql } from 'drizzle-orm';
import {
  bigint,
  boolean,
  check,
  index,
  integer,
  jsonb,
  pgSequence,
  smallint,
  snakeCase,
  text,
  unique,
  uuid,
} from 'drizzle-orm/pg-core';
import { createdAt, id, instant } from './types.ts';

/** Numbers of acquisitions: each is used for one claim of one job and never again. */
export const jobClaims = pgSequence('job_claims');

const counter = () => integer().notNull().default(0);

/**
 * Work to do: a row is there for as long as its work is unfinished. It is either in the queue (`owner` null) or
 * claimed by one worker until `leaseUntil`.
 */
export const jobs = snakeCase.table(
  'jobs',
  {
    id: id(),
    kind: text().notNull(),
    /** What the job is about: at most one job of a kind for it. */
    subjectId: uuid().notNull(),
    // No foreign key: a check per enqueued row would lock the team's row for every import at once.
    teamId: uuid().notNull(),
    payload: jsonb().notNull(),
    /** Lower comes first. */
    priority: smallint().notNull().default(0),
    // Cut, not rounded: a job that is due in half a millisecond would be missed by the wake-up that it caused.
    runAt: instant().notNull().default(sql`date_trunc('milliseconds', now())`),
    /** Number of the latest acquisition: fencing token and storage prefix, so never lowered and never reused. */
    claim: bigint({ mode: 'bigint' }).notNull().default(0n),
    claims: counter(),
    failures: counter(),
    crashes: counter(),
    lostLeases: counter(),
    /** Id of the worker process that holds the job; made anew by every process start. */
    owner: uuid(),
    leaseUntil: instant(),
    /** It has its worker for itself, as a job does that lost its lease three times: it may be what ends its workers. */
    alone: boolean().notNull().default(false),
    createdAt: createdAt(),
  },
  (t) => [
    unique('jobs_subject').on(t.kind, t.subjectId),
    check('jobs_leased', sql`(${t.owner} is null) = (${t.leaseUntil} is null)`),
    check('jobs_alone', sql`not ${t.alone} or ${t.owner} is not null`),
    // Both predicates are repeated word for word by the statements that use them.
    // Teams before anything else: a claim goes from one team with due jobs to the next, and takes some of each. The
    // collation makes this the only index that a claim can use: believing the queue empty, the planner takes any.
    index('jobs_claimable')
      .on(sql`${t.kind} collate "C"`, t.teamId, t.priority, t.runAt, t.id)
      .where(sql`${t.owner} is null and ${t.lostLeases} < 3`),
    index('jobs_suspects').on(t.runAt, t.id).where(sql`${t.owner} is null and ${t.lostLeases} >= 3`),
    // What is planned to be deleted below a prefix.
    index('jobs_planned_deletions')
      .on(sql`(${t.payload} ->> 'prefix') collate "C"`)
      .where(sql`${t.kind} = 'delete-objects'`),
    index('jobs_leases').on(t.leaseUntil, t.id).where(sql`${t.owner} is not null`),
  ],
);
