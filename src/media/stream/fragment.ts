import { box, fullBox, letters, words } from './box-writer.ts';
import type { Part } from './cut-points.ts';
import { TRACK_ID } from './init-segment.ts';
import type { Placement } from './placement.ts';
import type { SampleTable } from './sample-table.ts';

/** Whether others are needed to decode a sample (ISO/IEC 14496-12, 8.8.3.1). */
const SYNC = 0x02000000;
const NOT_SYNC = 0x01010000;
/** Flags of tfhd and trun. */
const BASE_IS_MOOF = 0x20000;
const DEFAULT_DURATION = 0x8;
const DEFAULT_FLAGS = 0x20;
const DATA_OFFSET = 0x1;
const FIRST_FLAGS = 0x4;
const DURATIONS = 0x100;
const SIZES = 0x200;
const FLAGS = 0x400;
const OFFSETS = 0x800;
const LARGEST_SMALL_BOX = 2 ** 32 - 1;
/** moof, mfhd, traf and tfdt, and the heads of tfhd and trun. */
const MFHD_BYTES = 16;
const TFDT_BYTES = 20;

export interface FragmentOptions {
  readonly samples: SampleTable;
  readonly part: Part;
  readonly placement: Placement;
  /** 1 for the first. */
  readonly sequence: number;
  /** The bytes of the samples. */
  readonly bytes: number;
}

/** The box moof and the head of the box mdat for the samples of a part (ISO/IEC 14496-12, 8.8); their bytes come next. */
export function makeFragmentHead({ samples, part, placement, sequence, bytes }: FragmentOptions): Buffer {
  const shape = shapeOf(samples, part, placement);
  const tfhd = fullBox(
    'tfhd',
    { flags: BASE_IS_MOOF | DEFAULT_FLAGS | (shape.flags & DURATIONS ? 0 : DEFAULT_DURATION) },
    words(TRACK_ID, ...(shape.flags & DURATIONS ? [] : [shape.duration]), shape.laterFlags),
  );
  const head = mdatHead(bytes);
  const runHead = 12 + 4 + 4 + (shape.flags & FIRST_FLAGS ? 4 : 0);
  const runBytes = runHead + (part.end - part.first) * shape.width;
  const moofBytes = 8 + MFHD_BYTES + 8 + tfhd.length + TFDT_BYTES + runBytes;
  const first = shape.flags & FIRST_FLAGS ? [SYNC] : [];
  const run = fullBox(
    'trun',
    { version: 1, flags: shape.flags },
    words(part.end - part.first, moofBytes + head.length, ...first),
    makeEntries(samples, part, { ...shape, advance: placement.advance }),
  );
  const time = placement.base + part.time;
  const tfdt = fullBox('tfdt', { version: 1 }, words(Math.floor(time / 2 ** 32), time));
  return Buffer.concat([
    box('moof', fullBox('mfhd', {}, words(sequence)), box('traf', tfhd, tfdt, run)),
    head,
  ]);
}

function mdatHead(bytes: number): Buffer {
  if (bytes + 8 <= LARGEST_SMALL_BOX) return Buffer.concat([words(bytes + 8), letters('mdat')]);
  const size = bytes + 16;
  return Buffer.concat([words(1), letters('mdat'), words(Math.floor(size / 2 ** 32), size)]);
}

interface Shape {
  readonly flags: number;
  /** Of every sample, where they are all the same. */
  readonly duration: number;
  /** Flags of the samples that have none of their own. */
  readonly laterFlags: number;
  /** Bytes that each sample takes. */
  readonly width: number;
}

/** What has to be said of each sample of a part, and what once for all. */
function shapeOf(samples: SampleTable, { first, end }: Part, { advance }: Placement): Shape {
  const { durations, compositionOffsets, sync } = samples;
  const duration = durations[first] ?? 0;
  let [sameDuration, onlyFirstSync, anyOffset] = [true, true, false];
  for (let sample = first; sample < end; sample++) {
    if (durations[sample] !== duration) sameDuration = false;
    if (sample > first && sync?.[sample] === 1) onlyFirstSync = false;
    if ((compositionOffsets?.[sample] ?? 0) !== advance) anyOffset = true;
  }
  const flagsEach = sync !== null && !onlyFirstSync;
  const flags =
    DATA_OFFSET |
    SIZES |
    (sameDuration ? 0 : DURATIONS) |
    (anyOffset ? OFFSETS : 0) |
    (flagsEach ? FLAGS : 0) |
    (sync !== null && onlyFirstSync ? FIRST_FLAGS : 0);
  const each = [SIZES, DURATIONS, OFFSETS, FLAGS].filter((flag) => flags & flag).length;
  return { flags, duration, laterFlags: sync === null ? SYNC : NOT_SYNC, width: each * 4 };
}

function makeEntries(
  { durations, sizes, sync, compositionOffsets }: SampleTable,
  { first, end }: Part,
  { flags, width, advance }: Shape & Pick<Placement, 'advance'>,
): Buffer {
  const bytes = Buffer.allocUnsafe((end - first) * width);
  let at = 0;
  for (let sample = first; sample < end; sample++) {
    if (flags & DURATIONS) at = bytes.writeUInt32BE(durations[sample] ?? 0, at);
    at = bytes.writeUInt32BE(sizes[sample] ?? 0, at);
    if (flags & FLAGS) at = bytes.writeUInt32BE(sync?.[sample] === 1 ? SYNC : NOT_SYNC, at);
    if (flags & OFFSETS) at = bytes.writeInt32BE(((compositionOffsets?.[sample] ?? 0) - advance) | 0, at);
  }
  return bytes;
}
