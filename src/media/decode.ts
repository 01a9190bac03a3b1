import {
  AV_FRAME_DATA_DISPLAYMATRIX,
  AV_FRAME_FLAG_CORRUPT,
  AV_PKT_DATA_ENCRYPTION_INFO,
} from 'node-av/constants';
import { avGetCodecName, Codec, CodecContext, Dictionary, Frame, type Stream } from 'node-av/lib';
import type { OpenVideo } from './demux.ts';
import { broken, unsupported } from './errors.ts';
import { VIDEO_DECODERS } from './formats.ts';
import type { PacketReader } from './packets.ts';

/** What a decoded picture tells beyond the header. */
export interface DecodedPicture {
  readonly width: number;
  readonly height: number;
  /** Width to height of one pixel; 0 if not told. */
  readonly pixelAspect: number;
  readonly colorTransfer: number;
  readonly displayMatrix: Buffer | null;
}

/** A file that begins with a key picture shows one within these many packets. */
const MOST_PACKETS = 120;
/** A recording of a broadcast may begin anywhere, and a key picture may be ten seconds away. */
const MOST_PACKETS_OF_STREAM = 1200;

/**
 * The first picture that decodes without any error. FFmpeg conceals errors and hands out a picture all the
 * same, so its flags decide; of an encrypted file, the packets' own word.
 * Throws MediaRejectedError: the codec is not accepted, the packets are encrypted, or no picture decodes
 * cleanly.
 */
export async function decodeCleanPicture(video: OpenVideo, packets: PacketReader): Promise<DecodedPicture> {
  // Threads of a decoder hold pictures back, and one picture is all that is asked for.
  const decoder = await openDecoder(video.stream, { threads: 1 });
  const frame = new Frame();
  frame.alloc();
  const limit = video.demuxer.startsWith('mpeg') ? MOST_PACKETS_OF_STREAM : MOST_PACKETS;
  try {
    for (let count = 0; count < limit; count++) {
      const packet = await packets.next();
      if (packet?.getSideData(AV_PKT_DATA_ENCRYPTION_INFO)) throw broken('it is encrypted');
      await decoder.sendPacket(packet);
      const picture = await receiveCleanPicture(decoder, frame);
      if (picture) return picture;
      if (!packet) break;
    }
  } finally {
    frame.free();
    decoder.freeContext();
  }
  throw broken(
    packets.times().videoPackets === 0
      ? 'its pictures are missing from the file'
      : 'none of its first pictures can be decoded',
  );
}

/** The codec's common name, such as h264. */
export function codecNameOf(stream: Stream): string {
  return (avGetCodecName(stream.codecpar.codecId) ?? 'unknown').replace(/[^\w.-]/g, '').slice(0, 32);
}

/**
 * A decoder of the stream's pictures, to be freed by the caller. `threads`: how many it may use; more than
 * one hold pictures back. `keyPicturesOnly`: the others are thrown away before they cost anything.
 * @throws {MediaRejectedError} when the codec is not accepted, or its header is damaged.
 */
export async function openDecoder(
  stream: Stream,
  { threads, keyPicturesOnly = false }: { readonly threads: number; readonly keyPicturesOnly?: boolean },
): Promise<CodecContext> {
  const codec = Codec.findDecoder(stream.codecpar.codecId);
  if (!codec?.name || !VIDEO_DECODERS.has(codec.name)) {
    throw unsupported(`the video codec ${codecNameOf(stream)} is not accepted`);
  }
  const decoder = new CodecContext();
  decoder.allocContext3(codec);
  const copied = decoder.parametersToContext(stream.codecpar);
  decoder.threadCount = threads;
  if (keyPicturesOnly) decoder.setOption('skip_frame', 'nokey');
  decoder.pktTimebase = stream.timeBase;
  const opened =
    copied < 0 ? copied : await decoder.open2(codec, Dictionary.fromObject({ max_pixels: 134_217_728 }));
  if (opened < 0) {
    decoder.freeContext();
    throw broken('its decoder refuses the header of the video track');
  }
  return decoder;
}

async function receiveCleanPicture(decoder: CodecContext, frame: Frame): Promise<DecodedPicture | null> {
  while ((await decoder.receiveFrame(frame)) >= 0) {
    if (isClean(frame)) return describePicture(frame);
    frame.unref();
  }
  return null;
}

/** Whether a picture was decoded without any error: FFmpeg conceals them, and tells it by flags alone. */
export function isClean(frame: Frame): boolean {
  const flawless = frame.decodeErrorFlags === 0 && (frame.flags & AV_FRAME_FLAG_CORRUPT) === 0;
  return flawless && frame.width > 0 && frame.height > 0;
}

/** What a decoded picture tells beyond the header. */
export function describePicture(frame: Frame): DecodedPicture {
  const { num, den } = frame.sampleAspectRatio;
  const matrix = frame.getSideData(AV_FRAME_DATA_DISPLAYMATRIX);
  return {
    width: frame.width,
    height: frame.height,
    pixelAspect: den > 0 ? num / den : 0,
    colorTransfer: frame.colorTrc,
    // The frame's memory ends with it.
    displayMatrix: matrix && Buffer.from(matrix),
  };
}
