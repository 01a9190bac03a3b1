import { describe, expect, it } from 'vitest';
import type { MediaFacts } from '../../src/media/facts.ts';
import { checkRequirements, checkSize, type Requirements } from '../../src/media/requirements.ts';

const RULES: Requirements = {
  minWidth: 360,
  minHeight: 360,
  maxWidth: 5184,
  maxHeight: 2160,
  minAspectRatio: 1,
  maxAspectRatio: 2.4,
  minDuration: 4,
  maxDuration: 7200,
  maxSize: 2_147_483_648,
};

const FACTS: MediaFacts = {
  size: 1000,
  duration: 10,
  width: 640,
  height: 360,
  container: 'mp4',
  mimeType: 'video/mp4',
  videoCodec: 'h264',
  audioCodec: null,
  frameRate: 25,
  bitrate: 800,
  rotation: 0,
  hdr: false,
};

const check = (facts: Partial<MediaFacts>, rules: Partial<Requirements> = {}) =>
  checkRequirements({ ...FACTS, ...facts }, { ...RULES, ...rules });

describe('checkRequirements', () => {
  it.each([
    [360, 360, null],
    [359, 360, 'VIDEO_RESOLUTION_TOO_LOW'],
    [5184, 2160, null],
    [5185, 2160, 'VIDEO_RESOLUTION_TOO_HIGH'],
    [5184, 2161, 'VIDEO_RESOLUTION_TOO_HIGH'],
    [960, 400, null],
    [964, 400, 'VIDEO_RESOLUTION_INVALID_ASPECT_RATIO'],
    [1000, 400, 'VIDEO_RESOLUTION_INVALID_ASPECT_RATIO'],
  ])('judges %ix%i the same lying and standing', (width, height, code) => {
    expect(check({ width, height })?.code ?? null).toBe(code);
    expect(check({ width: height, height: width })?.code ?? null).toBe(code);
  });

  it.each([
    [4, null],
    [3.999, 'VIDEO_DURATION_TOO_SHORT'],
    [7200, null],
    [7200.001, 'VIDEO_DURATION_TOO_LONG'],
  ])('takes its bounds for inclusive: %d seconds', (duration, code) => {
    expect(check({ duration })?.code ?? null).toBe(code);
  });

  it('writes both figures of a resolution', () => {
    expect(check({ width: 320, height: 240 })).toEqual({
      code: 'VIDEO_RESOLUTION_TOO_LOW',
      message:
        'The resolution of the video is too low. Please upload a video with resolution between 360x360 and 5184x2160. Current resolution is 320x240.',
      measured: '320x240',
      required: '360x360',
    });
  });

  it('writes both figures of an aspect ratio', () => {
    expect(check({ width: 1080, height: 400 })).toEqual({
      code: 'VIDEO_RESOLUTION_INVALID_ASPECT_RATIO',
      message:
        'The aspect ratio of the video is invalid. Please upload a video with aspect ratio between 1:1 and 2.4:1. Current resolution is 1080x400.',
      measured: '2.7:1',
      required: '2.4:1',
    });
  });

  it('writes both figures of a duration', () => {
    expect(check({ duration: 1.666667 })).toEqual({
      code: 'VIDEO_DURATION_TOO_SHORT',
      message:
        'The video is too short. Please use a video with duration at least 4 seconds. Current duration is 1.67 seconds.',
      measured: '1.67 s',
      required: '4 s',
    });
  });

  it('never writes a missed bound as the bound itself', () => {
    expect(check({ duration: 3.9996 })?.measured).toBe('3.9996 s');
    expect(check({ width: 2881, height: 1200 })?.measured).toBe('2.401:1');
  });

  it('takes a bound with a rounded ratio for the ratio', () => {
    expect(check({ width: 1920, height: 1080 }, { minAspectRatio: 1.778 })).toBeNull();
  });
});

describe('checkSize', () => {
  it('takes its bound for inclusive', () => {
    expect(checkSize(2_147_483_648, RULES)).toBeNull();
    expect(checkSize(2_147_483_649, RULES)).toEqual({
      code: 'VIDEO_FILESIZE_TOO_LARGE',
      message:
        'The video is too large. Please use a video with a size of at most 2147483648 bytes. The current size is 2147483649 bytes.',
      measured: '2147483649 bytes',
      required: '2147483648 bytes',
    });
  });
});
