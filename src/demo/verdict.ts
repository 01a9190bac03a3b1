import type { DemoClip } from './demo-clips.ts';
import type { VideoState } from './view.ts';

/** What became of a clip, and what was to become of it. */
export interface Verdict {
  readonly clip: DemoClip;
  readonly state: VideoState;
  readonly asExpected: boolean;
  /** The expectation in words. */
  readonly expected: string;
}

/** Compares how each clip ended with how it was to end; `states` are by file name. */
export function judge(
  clips: readonly DemoClip[],
  states: ReadonlyMap<string, VideoState>,
): readonly Verdict[] {
  return clips.flatMap((clip) => {
    const state = states.get(clip.fileName);
    return state ? [{ clip, state, asExpected: isMet(clip, state, states), expected: inWords(clip) }] : [];
  });
}

function isMet({ expected }: DemoClip, state: VideoState, states: ReadonlyMap<string, VideoState>): boolean {
  switch (expected.end) {
    case 'in':
      return state.status === 'READY';
    case 'out':
      return (state.status === 'REJECTED' || state.status === 'FAILED') && state.code === expected.code;
    case 'one-of-two': {
      const twin = states.get(expected.twin);
      if (twin === undefined) return false;
      return isSame(state) ? twin.status === 'READY' : state.status === 'READY' && isSame(twin);
    }
  }
}

function isSame({ status, code }: VideoState): boolean {
  return status === 'SKIPPED' && code === 'SAME_CONTENT';
}

function inWords({ expected }: DemoClip): string {
  switch (expected.end) {
    case 'in':
      return 'READY';
    case 'out':
      return expected.code;
    case 'one-of-two':
      return `READY or SKIPPED SAME_CONTENT, and ${expected.twin} the other of the two`;
  }
}
