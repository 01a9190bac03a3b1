import { readdir } from 'node:fs/promises';
import { AVCOL_TRC_BT709, AVCOL_TRC_SMPTE2084 } from 'node-av/constants';
import { describe, expect, it } from 'vitest';
import type { ClipSpec } from '../../../src/demo/clips.ts';
import { type DecodedTrack, decodeTrack } from '../support/decode-track.ts';
import { expectWhole, FRAMES, makeInto, useClips } from '../support/make-stream.ts';
import { useFolder } from '../support/pool.ts';

const LATER = { output_ts_offset: '300' };

const CLIPS = {
  plain: {},
  fragmented: { muxerOptions: { movflags: '+frag_keyframe+empty_moov' } },
  mkv: { container: 'mkv', audioCodec: 'flac' },
  hevc: { container: 'mkv', videoCodec: 'hevc' },
  ts: { container: 'ts', muxerOptions: LATER },
  flv: { container: 'flv' },
  webm: { container: 'webm', videoCodec: 'vp9', audioCodec: 'opus' },
  av1: { container: 'mkv', videoCodec: 'av1', audioCodec: 'opus' },
  silent: { container: 'mkv', audioCodec: null },
  old: { container: 'webm', videoCodec: 'vp8', audioCodec: 'vorbis' },
  avi: { container: 'avi', videoCodec: 'mpeg4', audioCodec: 'mp3' },
  ogv: { container: 'ogv', videoCodec: 'theora', audioCodec: 'vorbis' },
  wmv: { container: 'wmv', videoCodec: 'wmv2', audioCodec: 'mp3' },
  mpg: { container: 'mpg', videoCodec: 'mpeg2video', audioCodec: 'mp2' },
  prores: { container: 'mov', videoCodec: 'prores', audioCodec: 'pcm' },
  pcm: { container: 'mov', audioCodec: 'pcm' },
  mp3: { container: 'mkv', audioCodec: 'mp3' },
  ac3: { container: 'mkv', audioCodec: 'ac3' },
  tenBits: { container: 'mkv', pixelFormat: 'yuv420p10le' },
  turned: { container: 'mov', videoCodec: 'mpeg4', rotation: 90 },
  turnedCopy: { rotation: 270 },
  wide: { container: 'avi', videoCodec: 'mpeg4', audioCodec: null, pixelAspect: [4, 3] },
  odd: {
    container: 'avi',
    videoCodec: 'mjpeg',
    audioCodec: null,
    width: 323,
    height: 181,
    pixelFormat: 'yuvj420p',
  },
  fields: { container: 'ts', videoCodec: 'mpeg2video', audioCodec: null, interlaced: true },
  hdr: { videoCodec: 'hevc', pixelFormat: 'yuv420p10le', hdr: true, audioCodec: null },
} as const satisfies Record<string, ClipSpec>;

const inFolder = useFolder();
const pathOf = useClips(inFolder, CLIPS);

const make = (path: string, ladder: readonly number[] = []) =>
  makeInto(inFolder(`made-${crypto.randomUUID()}`), path, ladder);

describe('a stream', () => {
  it.each([
    ['plain', 'h264', 'aac'],
    ['fragmented', 'h264', 'aac'],
    ['mkv', 'h264', 'flac'],
    ['hevc', 'hevc', 'aac'],
    ['ts', 'h264', 'aac'],
    ['flv', 'h264', 'aac'],
    ['webm', 'vp9', 'opus'],
    ['av1', 'av1', 'opus'],
  ] as const)('holds what players take as it is: %s', async (name, pictures, sound) => {
    const made = await make(pathOf(name));
    expect(made.result.renditions).toMatchObject([{ copied: true, width: 320, height: 180 }]);
    const [video, audio] = [await made.decode('video'), await made.decode('sound')];
    expect([video.codec, audio.codec]).toEqual([pictures, sound]);
    expectWhole(video);
    expect(audio.flawed).toBe(0);
    expect(Math.abs(audio.start - video.start)).toBeLessThan(0.06);
    expect(Math.abs(audio.end - video.end)).toBeLessThan(0.1);
  });

  it.each(['old', 'avi', 'ogv', 'wmv', 'mpg', 'prores', 'tenBits'] as const)(
    'holds H.264 and AAC where players would take something else not: %s',
    async (name) => {
      const made = await make(pathOf(name));
      expect(made.result.renditions).toMatchObject([{ copied: false, width: 320, height: 180 }]);
      expect(made.result.renditions[0]?.codecs).toMatch(/^avc1\.64[0-9a-f]{4},mp4a\.40\.2$/);
      const [video, audio] = [await made.decode('video'), await made.decode('sound')];
      expectWhole(video);
      expect(audio).toMatchObject({ codec: 'aac', flawed: 0 });
      expect(Math.abs(audio.start - video.start)).toBeLessThan(0.06);
      expect(Math.abs(audio.end - video.end)).toBeLessThan(0.1);
      expect(made.progress.at(-1)).toBe(1);
      expect(made.progress).toEqual([...made.progress].sort((one, other) => one - other));
    },
  );

  it.each(['pcm', 'mp3'] as const)('has its pictures copied though the sound is not: %s', async (name) => {
    const made = await make(pathOf(name));
    expect(made.result.renditions).toMatchObject([{ copied: true }]);
    const [video, audio] = [await made.decode('video'), await made.decode('sound')];
    expectWhole(video);
    expect(audio).toMatchObject({ codec: 'aac', flawed: 0 });
    expect(Math.abs(audio.end - video.end)).toBeLessThan(0.1);
  });

  it('offers AAC beside AC-3, which few browsers take', async () => {
    const made = await make(pathOf('ac3'));
    expect(await made.decode('sound')).toMatchObject({ codec: 'aac', flawed: 0 });
    expect(await made.decode('sound-original')).toMatchObject({ codec: 'ac3', flawed: 0 });
    expect(made.playlist.match(/CODECS="[^"]+"/g)).toEqual([
      expect.stringMatching(/mp4a\.40\.2/),
      expect.stringMatching(/ac-3/),
    ]);
  });

  it('may be without sound', async () => {
    const made = await make(pathOf('silent'));
    expectWhole(await made.decode('video'));
    expect(made.playlist).not.toContain('AUDIO');
    expect((await readdir(made.folder)).sort()).toEqual(['main.m3u8', 'video.m3u8', 'video.mp4']);
  });
});

describe('the multivariant playlist', () => {
  it('names each rendition, from the original down, with what it takes', async () => {
    const made = await make(pathOf('plain'), [90, 144, 180, 720]);
    expect(made.result.renditions.map(({ width, height, copied }) => [width, height, copied])).toEqual([
      [320, 180, true],
      [256, 144, false],
      [160, 90, false],
    ]);
    const lines = made.playlist.split('\n');
    expect(lines).toContain('#EXT-X-INDEPENDENT-SEGMENTS');
    expect(lines.filter((line) => line.endsWith('.m3u8'))).toEqual([
      'video.m3u8',
      'video-144.m3u8',
      'video-90.m3u8',
    ]);
    const variants = lines.filter((line) => line.startsWith('#EXT-X-STREAM-INF'));
    for (const [index, variant] of variants.entries()) {
      const rendition = made.result.renditions[index];
      expect(variant).toContain(`BANDWIDTH=${rendition?.bandwidth},`);
      expect(variant).toContain(`CODECS="${rendition?.codecs}"`);
      expect(variant).toContain(`RESOLUTION=${rendition?.width}x${rendition?.height}`);
      expect(variant).toMatch(/AVERAGE-BANDWIDTH=\d+,.*FRAME-RATE=25\.000,AUDIO="sound"$/);
    }
  });

  it('has renditions with key pictures at the same times, two seconds apart', async () => {
    const made = await make(pathOf('old'), [144, 90]);
    const tracks = await Promise.all(['video', 'video-144', 'video-90'].map(made.decode));
    for (const track of tracks) {
      expectWhole(track);
      expect(track.keys.map((at) => Math.round(at * 25) / 25)).toEqual([0, 2]);
      expect(track.keys).toEqual(tracks[0]?.keys);
    }
  });
});

describe('the picture', () => {
  it('is upright where it is encoded', async () => {
    const made = await make(pathOf('turned'));
    const [source, video] = [await decodeTrack(pathOf('turned')), await made.decode('video')];
    expect(video).toMatchObject({ width: 180, height: 320 });
    expectWhole(video);
    // Turned clockwise, the first line of what is shown is the first column of what was stored, from its lower end on.
    expect(difference(video, (x, y) => source.luma[(179 - x) * source.stride + y] ?? 0)).toBeLessThan(12);
    expect(difference(video, (x, y) => source.luma[x * source.stride + (319 - y)] ?? 0)).toBeGreaterThan(24);
  });

  it('is turned by the player where it is copied, and its renditions are upright', async () => {
    const made = await make(pathOf('turnedCopy'), [90]);
    expect(made.result.renditions.map(({ width, height }) => [width, height])).toEqual([
      [320, 180],
      [90, 160],
    ]);
    expect(made.playlist.match(/RESOLUTION=\d+x\d+/g)).toEqual(['RESOLUTION=180x320', 'RESOLUTION=90x160']);
  });

  it('has square pixels and even sides where it is encoded', async () => {
    expect(await (await make(pathOf('wide'))).decode('video')).toMatchObject({
      width: 428,
      height: 180,
      pixelAspect: 1,
      frames: FRAMES,
    });
    const odd = await (await make(pathOf('odd'))).decode('video');
    expect([odd.width, odd.height]).toEqual([324, 182]);
    expectWhole(odd);
  });

  it('has every frame though its fields were made frames', async () => {
    expectWhole(await (await make(pathOf('fields'))).decode('video'));
  });

  it('stays HDR where it is copied, and is SDR where it is encoded', async () => {
    const made = await make(pathOf('hdr'), [90]);
    expect(await made.decode('video')).toMatchObject({ codec: 'hevc', colorTransfer: AVCOL_TRC_SMPTE2084 });
    const small = await made.decode('video-90');
    expect(small).toMatchObject({ codec: 'h264', colorTransfer: AVCOL_TRC_BT709 });
    expectWhole(small);
    const [original, rendition] = made.playlist.match(/#EXT-X-STREAM-INF.*/g) ?? [];
    expect(original).toContain('VIDEO-RANGE=PQ');
    expect(rendition).not.toContain('VIDEO-RANGE');
  });
});

/** How far a picture is from what it should be: the mean difference of brightness on a grid of points. */
function difference(
  { width, height, luma, stride }: DecodedTrack,
  expected: (x: number, y: number) => number,
): number {
  let [sum, count] = [0, 0];
  for (let y = 4; y < height; y += 7) {
    for (let x = 4; x < width; x += 7) {
      sum += Math.abs((luma[y * stride + x] ?? 0) - expected(x, y));
      count += 1;
    }
  }
  return sum / count;
}
