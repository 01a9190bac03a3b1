import type { ProductResults } from '../products.ts';

/** What idet says of one picture, in its own words; null for nothing. */
export interface LookOfFields {
  /** tff, bff, progressive or undetermined: which order of the fields makes the smoothest movement. */
  readonly lines: string | null;
  /** top, bottom or neither: the field that is the same as in the picture before. */
  readonly repeated: string | null;
}

/** Pictures in a row. */
export type FieldWindow = readonly LookOfFields[];

type ScanType = ProductResults['SCAN_TYPE']['scanType'];

/** Of all pictures, so many have to move enough for a verdict. */
const LEAST_DECIDED = 0.05;
/** How much more pictures have one order of fields than the other. Real fields keep their order; fine lines that move look like either. */
const INTERLACED = { flagged: 0.6, unflagged: 0.85 };
const PROGRESSIVE = 0.4;
/** Of five pictures of a 3:2 pulldown, one repeats its top field and one its bottom field; not all of them are noticed. */
const LEAST_REPEATED = 0.08;
/** How much more often the one is interlaced than another of the five. */
const LEAST_CADENCE = 0.5;
/** Pictures of a pulldown, and so many rounds of it in a row at least. */
const CYCLE = 5;
const LEAST_CYCLES = 4;

/**
 * How the pictures were scanned. Where too little moves to tell, fields cannot be told apart: such a file is PROGRESSIVE unless
 * its own flags say otherwise, and then UNKNOWN.
 */
export function decideScanType(
  windows: readonly FieldWindow[],
  { isFlagged }: { readonly isFlagged: boolean },
): ScanType {
  const pictures = windows.flat();
  const share = (of: keyof LookOfFields, what: string) =>
    pictures.filter((picture) => picture[of] === what).length / pictures.length;
  const [top, bottom, progressive] = [
    share('lines', 'tff'),
    share('lines', 'bff'),
    share('lines', 'progressive'),
  ];
  const decided = top + bottom + progressive;
  if (pictures.length === 0 || decided < LEAST_DECIDED) return isFlagged ? 'UNKNOWN' : 'PROGRESSIVE';
  const order = Math.abs(top - bottom) / decided;
  const dominant = top > bottom ? 'tff' : 'bff';
  if (Math.min(share('repeated', 'top'), share('repeated', 'bottom')) >= LEAST_REPEATED) return 'TELECINED';
  if (order >= PROGRESSIVE && hasCadence(windows, dominant)) return 'TELECINED';
  if (order >= (isFlagged ? INTERLACED.flagged : INTERLACED.unflagged))
    return dominant === 'tff' ? 'INTERLACED_TFF' : 'INTERLACED_BFF';
  return order < PROGRESSIVE ? 'PROGRESSIVE' : 'UNKNOWN';
}

/** Whether most windows in which fields show have the rhythm of a pulldown: the same ones of each five are interlaced. */
function hasCadence(windows: readonly FieldWindow[], order: string): boolean {
  const combed = windows
    .map((window) => window.map(({ lines }) => lines === order))
    .filter((window) => window.length >= CYCLE * LEAST_CYCLES && window.some(Boolean));
  return combed.filter(isInRhythm).length * 2 > combed.length;
}

function isInRhythm(combed: readonly boolean[]): boolean {
  const shares = Array.from({ length: CYCLE }, (_, phase) => {
    const ofPhase = combed.filter((_, at) => at % CYCLE === phase);
    return ofPhase.filter(Boolean).length / ofPhase.length;
  });
  return Math.max(...shares) - Math.min(...shares) >= LEAST_CADENCE;
}
