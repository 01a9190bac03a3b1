import { AVERROR_EAGAIN, AVERROR_EOF } from 'node-av/constants';
import { FFmpegError, FilterGraph, Frame, type Rational } from 'node-av/lib';

/** A graph of filters with one beginning and one end or several. */
export interface FilterPipe {
  /**
   * Puts a frame in, which is empty afterwards; null at the end.
   * @throws {FFmpegError} when no filter takes it.
   */
  feed(frame: Frame | null): void;
  /** What has come out of an end, frame by frame; each is valid until the next one. */
  read(end: number): Generator<Frame>;
  /** Of the times of what comes out of an end. */
  unit(end: number): Rational;
  free(): void;
}

/**
 * Builds the graph that is described in FFmpeg's syntax: its first filter is called `buffer@in` or `abuffer@in`, its
 * ends `buffersink@0` or `abuffersink@0` and so on.
 * @throws {FFmpegError} when FFmpeg does not take it.
 */
export function openFilterPipe(description: string): FilterPipe {
  const graph = new FilterGraph();
  graph.alloc();
  const out = new Frame();
  out.alloc();
  const free = (): void => {
    out.free();
    graph.free();
  };
  const filter = (name: string) => {
    const found = graph.getFilter(name) ?? graph.getFilter(`a${name}`);
    if (!found) throw new Error(`There is no ${name} in ${description}`);
    return found;
  };
  try {
    FFmpegError.throwIfError(graph.parse2(description), description);
    FFmpegError.throwIfError(graph.configSync(), description);
    const source = filter('buffer@in');
    return {
      feed: (frame) => void FFmpegError.throwIfError(source.buffersrcAddFrameSync(frame), 'filter'),
      *read(end) {
        const sink = filter(`buffersink@${end}`);
        for (;;) {
          const code = sink.buffersinkGetFrameSync(out);
          if (code === AVERROR_EAGAIN || code === AVERROR_EOF) return;
          FFmpegError.throwIfError(code, 'filter');
          yield out;
          out.unref();
        }
      },
      unit: (end) => filter(`buffersink@${end}`).buffersinkGetTimeBase(),
      free,
    };
  } catch (error) {
    free();
    throw error;
  }
}
