import type { MediaFacts } from './facts.ts';

/** The rules a video must meet. Pixels, seconds and bytes; all bounds inclusive. */
export interface Requirements {
  /** Width rules hold for the long side, height rules for the short one: portrait is as good as landscape. */
  readonly minWidth: number;
  readonly minHeight: number;
  readonly maxWidth: number;
  readonly maxHeight: number;
  /** Long side to short side. */
  readonly minAspectRatio: number;
  readonly maxAspectRatio: number;
  readonly minDuration: number;
  readonly maxDuration: number;
  readonly maxSize: number;
}

type RequirementCode =
  | 'VIDEO_RESOLUTION_TOO_LOW'
  | 'VIDEO_RESOLUTION_TOO_HIGH'
  | 'VIDEO_RESOLUTION_INVALID_ASPECT_RATIO'
  | 'VIDEO_DURATION_TOO_SHORT'
  | 'VIDEO_DURATION_TOO_LONG'
  | 'VIDEO_FILESIZE_TOO_LARGE';

/**
 * A rule that a video misses: the sentence for a person and its two figures, such as 320x240, 2.7:1, 3.2 s,
 * 2147483649 bytes.
 */
export interface RequirementViolation {
  readonly code: RequirementCode;
  readonly message: string;
  readonly measured: string;
  readonly required: string;
}

/**
 * The first rule that a video misses, in the order size, resolution, aspect ratio, duration; null when it
 * meets all. The picture is judged turned so that its long side is the width.
 */
export function checkRequirements(facts: MediaFacts, rules: Requirements): RequirementViolation | null {
  return (
    checkSize(facts.size, rules) ??
    checkResolution(facts, rules) ??
    checkAspectRatio(facts, rules) ??
    checkDuration(facts.duration, rules)
  );
}

/** The size rule alone, for a source that tells the number of bytes before any of them is read. */
export function checkSize(size: number, rules: Requirements): RequirementViolation | null {
  if (size <= rules.maxSize) return null;
  return {
    code: 'VIDEO_FILESIZE_TOO_LARGE',
    message: `The video is too large. Please use a video with a size of at most ${rules.maxSize} bytes. The current size is ${size} bytes.`,
    measured: `${size} bytes`,
    required: `${rules.maxSize} bytes`,
  };
}

function checkResolution({ width, height }: MediaFacts, rules: Requirements): RequirementViolation | null {
  const long = Math.max(width, height);
  const short = Math.min(width, height);
  const tooLow = long < rules.minWidth || short < rules.minHeight;
  const tooHigh = long > rules.maxWidth || short > rules.maxHeight;
  if (!tooLow && !tooHigh) return null;
  const lowest = `${rules.minWidth}x${rules.minHeight}`;
  const highest = `${rules.maxWidth}x${rules.maxHeight}`;
  const wrong = tooLow ? 'low' : 'high';
  return {
    code: tooLow ? 'VIDEO_RESOLUTION_TOO_LOW' : 'VIDEO_RESOLUTION_TOO_HIGH',
    message:
      `The resolution of the video is too ${wrong}. Please upload a video with resolution between ${lowest} and ${highest}. ` +
      `Current resolution is ${width}x${height}.`,
    measured: `${width}x${height}`,
    required: tooLow ? lowest : highest,
  };
}

function checkAspectRatio({ width, height }: MediaFacts, rules: Requirements): RequirementViolation | null {
  const ratio = Math.max(width, height) / Math.min(width, height);
  // Bounds such as 16/9 are written with rounded decimals: half a pixel on the short side is no difference.
  const slack = ratio / (2 * Math.min(width, height));
  const tooSmall = ratio + slack < rules.minAspectRatio;
  if (!tooSmall && ratio <= rules.maxAspectRatio) return null;
  return {
    code: 'VIDEO_RESOLUTION_INVALID_ASPECT_RATIO',
    message:
      `The aspect ratio of the video is invalid. Please upload a video with aspect ratio between ` +
      `${rules.minAspectRatio}:1 and ${rules.maxAspectRatio}:1. Current resolution is ${width}x${height}.`,
    measured: `${beyond(ratio, tooSmall ? rules.minAspectRatio : rules.maxAspectRatio, 2)}:1`,
    required: `${tooSmall ? rules.minAspectRatio : rules.maxAspectRatio}:1`,
  };
}

function checkDuration(duration: number, rules: Requirements): RequirementViolation | null {
  const tooShort = duration < rules.minDuration;
  if (!tooShort && duration <= rules.maxDuration) return null;
  const bound = tooShort ? rules.minDuration : rules.maxDuration;
  const current = beyond(duration, bound, 2);
  return {
    code: tooShort ? 'VIDEO_DURATION_TOO_SHORT' : 'VIDEO_DURATION_TOO_LONG',
    message:
      `The video is too ${tooShort ? 'short' : 'long'}. Please use a video with duration ` +
      `${tooShort ? 'at least' : 'at most'} ${bound} seconds. Current duration is ${current} seconds.`,
    measured: `${current} s`,
    required: `${bound} s`,
  };
}

/**
 * `value` with as few decimals as tell it apart from `bound`, at least `decimals`: 3.9996 beside 4 must not
 * read 4.
 */
function beyond(value: number, bound: number, decimals: number): string {
  for (let digits = decimals; digits < 9; digits++) {
    const rounded = Number(value.toFixed(digits));
    if (rounded !== bound) return String(rounded);
  }
  return String(value);
}
