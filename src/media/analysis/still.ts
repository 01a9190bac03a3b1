import { AV_PIX_FMT_YUV420P, SWS_BICUBIC } from 'node-av/constants';
import { FFmpegError, Frame, SoftwareScaleContext } from 'node-av/lib';
import type { PictureSize } from './shown-picture.ts';

/**
 * A picture in memory of ours, of yuv420p without padding: nothing has to be freed, whatever becomes of it.
 * Width and height are even.
 */
export interface Still extends PictureSize {
  readonly bytes: Buffer;
}

/** Copies a frame of yuv420p. */
export function toStill(frame: Frame): Still {
  return { width: frame.width, height: frame.height, bytes: frame.toBuffer() };
}

/**
 * A frame with the pixels of a still, to be freed by the caller.
 * @throws {FFmpegError} when there is no memory for it.
 */
export function toFrame({ bytes, width, height }: Still): Frame {
  const frame = allocateFrame({ width, height });
  frame.fromBuffer(bytes);
  return frame;
}

/** FFmpeg reads and writes whole vectors: lines without padding would be overrun. */
const VECTOR_BYTES = 64;

function allocateFrame({ width, height }: PictureSize): Frame {
  const frame = new Frame();
  frame.alloc();
  frame.width = width;
  frame.height = height;
  frame.format = AV_PIX_FMT_YUV420P;
  const code = frame.getBuffer(VECTOR_BYTES);
  if (code < 0) frame.free();
  FFmpegError.throwIfError(code, 'allocate a picture');
  return frame;
}

/** A black still. */
export function blankStill({ width, height }: PictureSize): Still {
  const pixels = width * height;
  const bytes = Buffer.alloc((pixels * 3) / 2, 128).fill(0, 0, pixels);
  return { width, height, bytes };
}

/** Copies a still into another, its left upper corner at `x` and `y`, which are even. */
export function paste(from: Still, to: Still, { x, y }: { readonly x: number; readonly y: number }): void {
  let [source, target] = [0, 0];
  for (const share of [1, 2, 2]) {
    const [width, height, line] = [from.width / share, from.height / share, to.width / share];
    for (let row = 0; row < height; row++) {
      const start = source + row * width;
      from.bytes.copy(to.bytes, target + (y / share + row) * line + x / share, start, start + width);
    }
    source += width * height;
    target += line * (to.height / share);
  }
}

/**
 * A still in another size.
 * @throws {FFmpegError} when there is no memory for it.
 */
export function resize(still: Still, { width, height }: PictureSize): Still {
  if (width === still.width && height === still.height) return still;
  const scaler = new SoftwareScaleContext();
  const from = toFrame(still);
  const to = allocateFrame({ width, height });
  try {
    const format = AV_PIX_FMT_YUV420P;
    scaler.getContext(still.width, still.height, format, width, height, format, SWS_BICUBIC);
    FFmpegError.throwIfError(scaler.scaleFrameSync(to, from), 'resize a picture');
    return toStill(to);
  } finally {
    from.free();
    to.free();
    scaler.freeContext();
  }
}
