import { expect } from 'vitest';
import { graphql, type ResultOf } from '../support/graphql.ts';

const PLANNED = graphql(`
  fragment Planned on PlannedVideo @_unmask {
    fileName sourceKey name externalId size duration width height skipReason existingVideo { id sha256 }
    error { code message }
  }
`);
export const PLAN = graphql(
  `query Plan($input: StartImportInput!) {
    importPlan(input: $input) {
      __typename
      ... on Error { message }
      ... on ImportPlanSuccess {
        plan {
          found acceptedCount skippedCount rejectedCount undecidedCount bytesTotal
          accepted { ...Planned } skipped { ...Planned } rejected { ...Planned }
        }
      }
      ... on InvalidInputError { issues { path code } }
      ... on NotFoundError { path }
      ... on SourceUnavailableError { code }
    }
  }`,
  [PLANNED],
);

export type PlanResult = ResultOf<typeof PLAN>['importPlan'];
export type Plan = Extract<PlanResult, { __typename: 'ImportPlanSuccess' }>['plan'];

/** The plan of an answer, its counts and lists checked. @throws Error when it holds none */
export function planIn(result: PlanResult): Plan {
  if (result.__typename !== 'ImportPlanSuccess') throw new Error(JSON.stringify(result));
  const { plan: found } = result;
  const { acceptedCount, skippedCount, rejectedCount, undecidedCount } = found;
  expect(acceptedCount + skippedCount + rejectedCount + undecidedCount).toBe(found.found);
  expect(found.accepted).toHaveLength(Math.min(100, acceptedCount));
  expect(found.skipped).toHaveLength(Math.min(100, skippedCount));
  expect(found.rejected).toHaveLength(Math.min(100, rejectedCount));
  return found;
}
