/** Milliseconds with fractions, the same in all processes of a machine. */
export const now = () => performance.timeOrigin + performance.now();

/** Where the times that travel in messages begin; a whole number of microseconds of them is exact. */
const EPOCH = Date.UTC(2026, 0, 1);

/** A time as what a task says that it has taken in, in microseconds. */
export const stampOf = (time) => Math.round((time - EPOCH) * 1000);
export const timeOf = (stamp) => stamp / 1000 + EPOCH;
