import type { Part } from './cut-points.ts';
import { cutNear, cutTimes, cutVideo } from './cut-points.ts';
import { makeInitSegment } from './init-segment.ts';
import { type Placement, place } from './placement.ts';
import type { Mp4Track } from './track.ts';

/** How one track is cut. */
export interface TrackPlan {
  readonly track: Mp4Track;
  readonly parts: readonly Part[];
  readonly placement: Placement;
  readonly init: Buffer;
}

export interface PlanTracksOptions {
  readonly tracks: readonly Mp4Track[];
  /** Parts last as long or longer. */
  readonly seconds: number;
  /** The second of the movie at which the stream begins. */
  readonly begin: number;
}

/** Plans how tracks of a file are cut: pictures at sync samples, sounds near them. */
export function planTracks({ tracks, seconds, begin }: PlanTracksOptions): readonly TrackPlan[] {
  const leader = tracks.find(({ kind }) => kind === 'video');
  const leading = leader ? cutVideo(leader, seconds) : [];
  const times = leader ? cutTimes(leader, leading) : [];
  return tracks.map((track) => {
    const placement = place(track, begin);
    const parts =
      track === leader
        ? leading
        : track.kind === 'video'
          ? cutVideo(track, seconds)
          : cutNear(track, times, seconds);
    return { track, parts, placement, init: makeInitSegment(track, placement.skipped) };
  });
}

/** A part of one of several tracks. */
export interface Step {
  /** Which of the plans. */
  readonly plan: number;
  readonly part: Part;
  /** 1 for the first of its track. */
  readonly sequence: number;
}

/** The parts of all tracks in the order of their times, in which most files hold them. */
export function orderSteps(plans: readonly TrackPlan[]): readonly Step[] {
  const steps = plans.flatMap(({ parts, track }, plan) =>
    parts.map((part, index) => ({ plan, part, sequence: index + 1, at: part.time / track.timescale })),
  );
  return steps.sort((one, other) => one.at - other.at);
}
