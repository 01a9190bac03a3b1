import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { MakeClipsOptions, NamedClipSpec } from './clips.ts';
import { clipFileName, makeClips, makeTruncatedCopy } from './clips.ts';

/** How a clip is to end. */
export type Expectation =
  | { readonly end: 'in' }
  /** Refused, at planning or later, with this code. */
  | { readonly end: 'out'; readonly code: string }
  /** The same content as another clip: whichever of the two is known first comes in, the other is skipped. */
  | { readonly end: 'one-of-two'; readonly twin: string };

/** One file of the demo and what is to become of it. */
export interface DemoClip {
  readonly fileName: string;
  /** What is special about it, in a few words. */
  readonly about: string;
  readonly expected: Expectation;
}

interface EncodedClip {
  readonly spec: NamedClipSpec;
  readonly about: string;
  readonly refusedWith?: string;
  readonly twin?: string;
}

const COPY = 'market-copy.mp4';
const TRUNCATED = 'cut-off.mp4';
const TEXT = 'notes.mp4';
const MISSING = 'gone.mp4';

/** H.264 at an exact rate is large enough for its bar to be seen moving. */
const ENCODED: readonly EncodedClip[] = [
  {
    about: 'H.264 and AAC, 1080p',
    spec: { name: 'harbour-1080p', width: 1920, height: 1080, seconds: 8, bitrate: 8_000_000 },
  },
  {
    about: 'H.264 and AAC, 720p at 30 frames a second',
    twin: COPY,
    spec: { name: 'market-720p', width: 1280, height: 720, seconds: 10, frameRate: 30, bitrate: 6_000_000 },
  },
  {
    about: 'H.264 and AAC, made for streaming',
    spec: {
      name: 'lecture',
      width: 854,
      height: 480,
      seconds: 20,
      bitrate: 3_000_000,
      muxerOptions: { movflags: '+faststart' },
    },
  },
  {
    about: 'VP9 and Opus in WebM',
    spec: { name: 'clip-vp9', container: 'webm', videoCodec: 'vp9', audioCodec: 'opus', seconds: 6 },
  },
  {
    about: 'AV1 and Opus in WebM',
    spec: { name: 'clip-av1', container: 'webm', videoCodec: 'av1', audioCodec: 'opus' },
  },
  { about: 'HEVC, 720p', spec: { name: 'drone-hevc', videoCodec: 'hevc', width: 1280, height: 720 } },
  {
    about: 'H.264 and FLAC in Matroska',
    spec: { name: 'concert', container: 'mkv', audioCodec: 'flac', width: 960, height: 540, seconds: 6 },
  },
  {
    about: 'filmed upright: stored 1280x720, turned by 90 degrees',
    spec: { name: 'phone', container: 'mov', rotation: 90, width: 1280, height: 720 },
  },
  { about: 'portrait, 720x1280', spec: { name: 'story', width: 720, height: 1280 } },
  {
    about: 'MPEG-4 and MP3 in AVI',
    spec: { name: 'archive', container: 'avi', videoCodec: 'mpeg4', audioCodec: 'mp3' },
  },
  {
    about: 'MPEG-2, interlaced, wide pixels, in a transport stream',
    spec: {
      name: 'broadcast',
      container: 'ts',
      videoCodec: 'mpeg2video',
      audioCodec: 'mp2',
      width: 720,
      height: 576,
      pixelAspect: [16, 15],
      interlaced: true,
    },
  },
  {
    about: 'no sound',
    spec: { name: 'silent', audioCodec: null, width: 640, height: 480 },
  },
  {
    about: '320x240',
    refusedWith: 'VIDEO_RESOLUTION_TOO_LOW',
    spec: { name: 'too-small', width: 320, height: 240 },
  },
  {
    about: 'two seconds long',
    refusedWith: 'VIDEO_DURATION_TOO_SHORT',
    spec: { name: 'too-short', seconds: 2 },
  },
  {
    about: 'three times as wide as high',
    refusedWith: 'VIDEO_RESOLUTION_INVALID_ASPECT_RATIO',
    spec: { name: 'too-wide', width: 1200, height: 400 },
  },
];

/** Every clip of the demo, in the order that they are imported in. */
export const DEMO_CLIPS: readonly DemoClip[] = [
  ...ENCODED.map((clip) => ({
    fileName: clipFileName(clip.spec),
    about: clip.about,
    expected: expectationOf(clip),
  })),
  {
    fileName: COPY,
    about: 'the same bytes as market-720p.mp4',
    expected: { end: 'one-of-two', twin: 'market-720p.mp4' },
  },
  {
    fileName: TRUNCATED,
    about: 'an upload that broke off',
    expected: { end: 'out', code: 'VIDEO_FILE_BROKEN' },
  },
  {
    fileName: TEXT,
    about: 'a text with the name of a video',
    expected: { end: 'out', code: 'UNSUPPORTED_MEDIA_TYPE' },
  },
  { fileName: MISSING, about: 'a link to nothing', expected: { end: 'out', code: 'SOURCE_NOT_FOUND' } },
];

function expectationOf({ refusedWith, twin }: EncodedClip): Expectation {
  if (refusedWith !== undefined) return { end: 'out', code: refusedWith };
  return twin === undefined ? { end: 'in' } : { end: 'one-of-two', twin };
}

/**
 * Makes the demo's files; another seed gives other pictures.
 * @throws as `makeClips` does.
 */
export async function makeDemoClips(folder: string, seed: number, options: MakeClipsOptions): Promise<void> {
  const specs = ENCODED.map(({ spec }, position) => ({ ...spec, seed: seed + position }));
  const paths = await makeClips(specs, folder, options);
  const market = paths.get('market-720p') ?? '';
  await copyFile(market, join(folder, COPY));
  await makeTruncatedCopy(market, join(folder, TRUNCATED), 0.4);
  await writeFile(join(folder, TEXT), 'Nothing moves in here.\n'.repeat(200));
}
