/**
 * A file that is made anew in another way begins at 0 again, which nobody is told: it stays where it was. That is told again and
 * again, for work without a word is taken to hang.
 */
export function neverBack(onProgress: (fraction: number) => void): (fraction: number) => void {
  let reached = 0;
  return (fraction) => {
    reached = Math.max(reached, Math.min(1, fraction));
    onProgress(reached);
  };
}
