import { AVDISCARD_ALL } from 'node-av/constants';
import { type CodecContext, Frame } from 'node-av/lib';
import { isClean, openDecoder } from '../decode.ts';
import type { OpenVideo } from '../demux.ts';
import { createPacketReader, frameRateOf, unitOf } from '../packets.ts';
import { threadsFor } from '../threads.ts';
import { createPictureClock } from './picture-clock.ts';

export interface DecodeOptions {
  /** Seconds from the first picture to the end of the last. */
  readonly duration: number;
  /**
   * Takes each picture that was decoded without error, which is freed afterwards, and when it is shown:
   * seconds from the first one. Once it has answered false no more are decoded.
   */
  readonly take: (picture: Frame, at: number) => Promise<boolean>;
}

/**
 * Decodes the stream that is shown, from its beginning to its end. What is damaged in between is left out.
 * @returns how many pictures were taken.
 * @throws {MediaRejectedError} when no decoder takes the stream.
 */
export async function decodePictures(video: OpenVideo, options: DecodeOptions): Promise<number> {
  const { context, stream } = video;
  for (const other of context.streams) if (other.index !== stream.index) other.discard = AVDISCARD_ALL;
  const { duration, take } = options;
  const threads = threadsFor(stream.codecpar);
  const decoder = await openDecoder(stream, { threads });
  const packets = createPacketReader(video);
  const frame = new Frame();
  frame.alloc();
  const clock = createPictureClock({
    unit: unitOf(stream),
    frame: 1 / (frameRateOf(stream) ?? 25),
    duration,
  });
  let taken = 0;
  try {
    for (;;) {
      const packet = await packets.next();
      if (packet) clock.note(packet);
      // A packet that cannot be decoded is one picture less, or a few.
      decoder.sendPacketSync(packet);
      for (const picture of receive(decoder, frame)) {
        const at = clock.at(picture);
        if (!isClean(picture)) continue;
        taken += 1;
        if (!(await take(picture, at))) return taken;
      }
      if (!packet) return taken;
    }
  } finally {
    frame.free();
    packets.free();
    decoder.freeContext();
  }
}

/** The pictures that the decoder has ready, each valid until the next. */
function* receive(decoder: CodecContext, frame: Frame): Generator<Frame> {
  while (decoder.receiveFrameSync(frame) >= 0) {
    yield frame;
    frame.unref();
  }
}
