/** Pixels of each side of the picture that a hash is made of. */
export const HASHED_SIDE = 32;

/** Frequencies along and down the picture, the 64 lowest but the mean of all. */
const FREQUENCIES = Array.from({ length: 11 * 11 }, (_, n) => ({ along: n % 11, down: Math.floor(n / 11) }))
  .filter(({ along, down }) => along + down > 0)
  .sort((a, b) => a.along + a.down - b.along - b.down || a.down - b.down)
  .slice(0, 64);

const COSINES = Array.from({ length: 11 }, (_, frequency) =>
  Float64Array.from({ length: HASHED_SIDE }, (_, at) =>
    Math.cos(((2 * at + 1) * frequency * Math.PI) / (2 * HASHED_SIDE)),
  ),
);

/**
 * What a picture looks like, in 64 bits as 16 hexadecimal digits: for each of its lowest frequencies (by the discrete cosine
 * transform) whether it is stronger than the median. Compression, noise and another size change high ones.
 * @param picture levels of brightness, row by row, HASHED_SIDE times HASHED_SIDE of them
 */
export function perceptualHash(picture: Float64Array): string {
  const rows = Array.from({ length: HASHED_SIDE }, (_, row) =>
    picture.subarray(row * HASHED_SIDE, (row + 1) * HASHED_SIDE),
  );
  const alongRows = COSINES.map((cosines) => Float64Array.from(rows, (row) => product(row, cosines)));
  const strengths = FREQUENCIES.map(({ along, down }) =>
    product(alongRows[along] ?? [], COSINES[down] ?? []),
  );
  const sorted = [...strengths].sort((a, b) => a - b);
  const median = ((sorted[31] ?? 0) + (sorted[32] ?? 0)) / 2;
  const bits = strengths.map((strength) => (strength > median ? '1' : '0')).join('');
  return BigInt(`0b${bits}`).toString(16).padStart(16, '0');
}

function product(one: ArrayLike<number>, other: ArrayLike<number>): number {
  let sum = 0;
  for (let at = 0; at < one.length; at++) sum += (one[at] ?? 0) * (other[at] ?? 0);
  return sum;
}
