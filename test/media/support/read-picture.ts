import { FFmpegError, Frame } from 'node-av/lib';
import { openFrameSource } from '../../../src/demo/pictures.ts';

export interface Picture {
  readonly width: number;
  readonly height: number;
  /** Red, green and blue of a pixel. */
  at(x: number, y: number): readonly [number, number, number];
}

/** Decodes a JPEG or WebP file. */
export function readPicture(path: string): Picture {
  const source = openFrameSource(`movie=filename=${path},format=rgb24`, 'buffersink');
  const frame = new Frame();
  frame.alloc();
  try {
    FFmpegError.throwIfError(source.sink.buffersinkGetFrameSync(frame), path);
    const { width, height } = frame;
    const bytes = frame.toBuffer();
    return {
      width,
      height,
      at(x, y) {
        const start = (Math.floor(y) * width + Math.floor(x)) * 3;
        return [bytes[start] ?? -1, bytes[start + 1] ?? -1, bytes[start + 2] ?? -1];
      },
    };
  } finally {
    frame.free();
    source[Symbol.dispose]();
  }
}
