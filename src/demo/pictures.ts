import type { FilterContext } from 'node-av/lib';
import { FFmpegError, FilterGraph } from 'node-av/lib';

/** Frames a second as a fraction: 25 → 25/1, 29.97 → 30000/1001. */
export function toFraction(frameRate: number): { readonly num: number; readonly den: number } {
  if (Number.isInteger(frameRate)) return { num: frameRate, den: 1 };
  return { num: Math.round((frameRate * 1001) / 1000) * 1000, den: 1001 };
}

/** What the pictures of a clip are to be; pixels, seconds, and FFmpeg's name of the pixel format. */
export interface PictureOptions {
  readonly width: number;
  readonly height: number;
  readonly seconds: number;
  readonly frameRate: number;
  readonly pixelFormat: string;
  readonly pixelAspect: readonly [number, number];
  /** Marks the frames as interlaced, top field first. */
  readonly interlaced: boolean;
  readonly seed: number;
}

/**
 * FFmpeg's filters for synthetic moving pictures with a frame counter. The seed turns the colours, shifts the
 * picture and moves a box of its own over it, so that brightness differs too and not the colour alone.
 */
export function picturesFilter(options: PictureOptions): string {
  const { width, height, seed, pixelAspect } = options;
  const rate = toFraction(options.frameRate);
  const shift = ((seed * 29) % 100) / 100;
  const boxX = `mod(t*iw/4+iw*${((seed * 37) % 100) / 100}\\,iw)`;
  const boxY = `mod(t*ih/7+ih*${((seed * 61) % 100) / 100}\\,ih)`;
  const colour = ((seed * 2_654_435_761) % 0xffffff).toString(16).padStart(6, '0');
  return [
    `testsrc2=size=${width}x${height}:rate=${rate.num}/${rate.den}:duration=${options.seconds}`,
    `scroll=hpos=${shift}`,
    `hue=h=${(seed * 47) % 360}`,
    `drawbox=x=${boxX}:y=${boxY}:w=iw/5:h=ih/4:color=0x${colour}:t=fill`,
    `setsar=${pixelAspect[0]}/${pixelAspect[1]}`,
    `format=${options.pixelFormat}`,
    ...(options.interlaced ? ['setfield=tff'] : []),
  ].join(',');
}

/** What the sound of a clip is to be: frames as its encoder takes them. */
export interface ToneOptions {
  readonly seconds: number;
  readonly seed: number;
  readonly sampleRate: number;
  readonly sampleFormat: string;
  /** Samples in a frame; 0: as many as there are. */
  readonly frameSize: number;
}

/** FFmpeg's filters for a stereo tone whose pitch comes from the seed, with a beep every second. */
export function toneFilter(options: ToneOptions): string {
  const { sampleRate, seconds, frameSize } = options;
  const pitch = 220 + ((options.seed * 83) % 600);
  const frames = frameSize > 0 ? [`asetnsamples=n=${frameSize}:p=0`] : [];
  return [
    `sine=frequency=${pitch}:beep_factor=2:sample_rate=${sampleRate}:duration=${seconds}`,
    `aformat=sample_fmts=${options.sampleFormat}:sample_rates=${sampleRate}:channel_layouts=stereo`,
    ...frames,
  ].join(',');
}

/** A filter graph without inputs, and the end of it that frames are taken from. */
export interface FrameSource extends Disposable {
  readonly sink: FilterContext;
}

/**
 * Builds the filter graph that the description names.
 * @throws {FFmpegError} when FFmpeg does not take it.
 */
export function openFrameSource(description: string, sinkName: 'buffersink' | 'abuffersink'): FrameSource {
  const graph = new FilterGraph();
  graph.alloc();
  graph.nbThreads = 1;
  FFmpegError.throwIfError(graph.parse2(`${description},${sinkName}`), description);
  FFmpegError.throwIfError(graph.configSync(), description);
  const sink = graph.filters?.find((filter) => filter.isSink());
  if (sink === undefined) throw new Error(`No end in the filter graph ${description}`);
  return { sink, [Symbol.dispose]: () => graph.free() };
}
