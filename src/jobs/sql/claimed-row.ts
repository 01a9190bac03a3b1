import type { ClaimedJob } from '../job.ts';

/** The columns of a claimed job `j`, for a `returning`; the 64-bit claim as text, so that nothing rounds it. */
export const CLAIMED_COLUMNS = `j.id, j.kind, j.subject_id, j.team_id, j.payload, j.priority, j.claim::text as claim,
  j.claims, j.failures, j.crashes, j.lost_leases, j.owner`;

/** What CLAIMED_COLUMNS give. */
export interface ClaimedRow extends Record<string, unknown> {
  readonly id: string;
  readonly kind: string;
  readonly subject_id: string;
  readonly team_id: string;
  readonly payload: unknown;
  readonly priority: number;
  readonly claim: string;
  readonly claims: number;
  readonly failures: number;
  readonly crashes: number;
  readonly lost_leases: number;
  readonly owner: string;
}

/** A row of CLAIMED_COLUMNS as a job. */
export function toClaimedJob(row: ClaimedRow): ClaimedJob {
  return {
    id: row.id,
    kind: row.kind,
    subjectId: row.subject_id,
    teamId: row.team_id,
    payload: row.payload,
    priority: row.priority,
    claim: row.claim,
    claims: row.claims,
    failures: row.failures,
    crashes: row.crashes,
    lostLeases: row.lost_leases,
    owner: row.owner,
    finished: false,
  };
}
