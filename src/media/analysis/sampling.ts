/**
 * A filter that lets through the first frame at or after each `offset + n * step` seconds, and the very first
 * frame of all.
 */
export function everyFilter(step: number, offset = 0): string {
  // A frame that is due to the microsecond may be a rounding too early.
  const bin = (time: string) => `floor((${time}-${offset.toFixed(6)})/${step.toFixed(6)}+0.00001)`;
  return `select='isnan(prev_selected_t)+gt(${bin('t')},${bin('prev_selected_t')})'`;
}
