import type { FileHandle } from 'node:fs/promises';
import { allocateBatchMemory, type Batch, createBatch } from './batch.ts';
import { makeFragmentHead } from './fragment.ts';
import type { Segment } from './media-playlist.ts';
import { createRangeFinder } from './sample-ranges.ts';
import { orderSteps, type TrackPlan } from './track-plan.ts';
import { writeAll } from './write-all.ts';

export interface CopyOptions {
  readonly plans: readonly TrackPlan[];
  readonly input: FileHandle;
  /** A new file for each plan. */
  readonly outputs: readonly FileHandle[];
  readonly onProgress: (fraction: number) => void;
}

/**
 * Writes the init segment and all fragments of each track, some megabytes at a time: while those are written, the
 * next ones are read.
 * @returns the segments of each plan
 * @throws {MediaRejectedError} VIDEO_FILE_BROKEN when the input ends before its samples do.
 */
export async function copySamples(options: CopyOptions): Promise<readonly (readonly Segment[])[]> {
  const { plans, input, outputs, onProgress } = options;
  const segments: Segment[][] = plans.map(() => []);
  const total = plans.reduce((sum, { track }) => sum + track.samples.bytes, 0);
  let [reading, writing] = [allocateBatchMemory(), allocateBatchMemory()];
  let written = Promise.resolve();
  let done = 0;
  try {
    for (const batch of makeBatches(plans, segments)) {
      const writes = await batch.read(input, reading);
      await written;
      [reading, writing] = [writing, reading];
      written = writeOutputs(outputs, writes);
      // It is waited for below, or else after the failure of a later read.
      written.catch(() => {});
      done += batch.bytes();
      onProgress(total > 0 ? done / total : 1);
    }
    await written;
  } finally {
    // Nobody closes a file that is written to.
    await Promise.allSettled([written]);
  }
  return segments;
}

async function writeOutputs(
  outputs: readonly FileHandle[],
  writes: readonly (readonly Buffer[])[],
): Promise<void> {
  const all = outputs.map((output, index) => writeAll(output, writes[index] ?? []));
  for (const result of await Promise.allSettled(all)) if (result.status === 'rejected') throw result.reason;
}

/** All that is to be written, in batches; fills in the segments on the way. */
function* makeBatches(plans: readonly TrackPlan[], segments: readonly Segment[][]): Generator<Batch> {
  const finders = plans.map(({ track }) => createRangeFinder(track.samples));
  const ends = plans.map(({ init }) => init.length);
  let batch = createBatch(plans.length);
  for (const [output, { init }] of plans.entries()) batch.addOwn(output, init);
  for (const { plan: output, part, sequence } of orderSteps(plans)) {
    const plan = plans[output];
    const ranges = finders[output]?.next(part);
    if (plan === undefined || ranges === undefined) continue;
    const { samples, timescale } = plan.track;
    const bytes = ranges.reduce((sum, { length }) => sum + length, 0);
    const head = makeFragmentHead({ samples, part, placement: plan.placement, sequence, bytes });
    const offset = ends[output] ?? 0;
    ends[output] = offset + head.length + bytes;
    segments[output]?.push({ duration: part.duration / timescale, offset, bytes: head.length + bytes });
    batch.addOwn(output, head);
    for (const range of ranges) {
      for (let taken = 0; taken < range.length; ) {
        if (batch.isFull()) {
          yield batch;
          batch = createBatch(plans.length);
        }
        const rest = { offset: range.offset + taken, length: range.length - taken };
        taken += batch.addRange(output, rest);
      }
    }
  }
  yield batch;
}
