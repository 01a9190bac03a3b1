import { AV_BUFFERSRC_FLAG_KEEP_REF, AVERROR_EAGAIN, AVERROR_EOF } from 'node-av/constants';
import { FFmpegError, FilterGraph, Frame } from 'node-av/lib';
import type { PictureFormat } from './picture-format.ts';

/** Units of the clock on which frames go through filters: microseconds from the first picture. */
export const CLOCK_UNITS = 1_000_000;

/** Takes a filtered frame, which is freed afterwards, and when it is shown, in seconds. */
export type TakeFrame = (frame: Frame, at: number) => void | Promise<void>;

/** A chain of filters that frames are put through one by one. */
export interface FilterChain {
  /**
   * Puts a frame in, and hands out what comes of it; null at the end of the frames.
   * @throws {FFmpegError} when a filter cannot take it.
   * @throws what the taker throws.
   */
  feed(frame: Frame | null): Promise<void>;
  free(): void;
}

/**
 * Builds a chain for frames of one format whose times are in microseconds.
 * @throws {FFmpegError} when FFmpeg does not take the filters, or not for these frames.
 */
export function openFilterChain(filters: string, format: PictureFormat, take: TakeFrame): FilterChain {
  const graph = new FilterGraph();
  graph.alloc();
  // The decoder's threads take what the filters of a pass leave.
  graph.nbThreads = 1;
  const out = new Frame();
  out.alloc();
  const free = (): void => {
    out.free();
    graph.free();
  };
  try {
    FFmpegError.throwIfError(graph.parse2(`buffer=${sourceOptions(format)},${filters},buffersink`), filters);
    FFmpegError.throwIfError(graph.configSync(), filters);
    const source = graph.filters?.find((filter) => filter.isSource());
    const sink = graph.filters?.find((filter) => filter.isSink());
    if (!source || !sink) throw new Error(`The filters have no beginning or no end: ${filters}`);
    const unit = sink.buffersinkGetTimeBase().toDouble();
    return {
      free,
      async feed(frame) {
        FFmpegError.throwIfError(
          source.buffersrcAddFrameSync(frame, AV_BUFFERSRC_FLAG_KEEP_REF),
          'filter a frame',
        );
        for (;;) {
          const code = sink.buffersinkGetFrameSync(out);
          if (code === AVERROR_EAGAIN || code === AVERROR_EOF) return;
          FFmpegError.throwIfError(code, 'filter a frame');
          const taken = take(out, Number(out.pts) * unit);
          // Waiting for nothing would cost a turn of the event loop for each frame.
          if (taken instanceof Promise) await taken;
          out.unref();
        }
      },
    };
  } catch (error) {
    free();
    throw error;
  }
}

function sourceOptions(format: PictureFormat): string {
  return [
    `video_size=${format.width}x${format.height}`,
    `pix_fmt=${format.pixelFormatName}`,
    `time_base=1/${CLOCK_UNITS}`,
    `pixel_aspect=${Math.round(format.pixelAspect * 10_000)}/10000`,
    `colorspace=${format.colorSpace}`,
    `range=${format.colorRange}`,
  ].join(':');
}
