import type { Context } from './context.ts';

/**
 * What ends a subscription with an error when the viewer's key reaches its team no more; one about a team that it never
 * reached has nothing to lose.
 * @param error what is told then: the same as for what does not exist
 */
export function whileTeamIsReached(
  { viewer, watchViewer }: Pick<Context, 'viewer' | 'watchViewer'>,
  teamId: string,
  error: () => Error,
): (fail: (error: Error) => void) => () => void {
  if (!viewer.teamIds.includes(teamId)) return () => () => {};
  return (fail) =>
    watchViewer((now) => {
      if (now !== null && !now.teamIds.includes(teamId)) fail(error());
    });
}
