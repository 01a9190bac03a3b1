import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { FFEncoderCodec } from 'node-av/constants';
import {
  AV_CODEC_FLAG_QSCALE,
  AV_PIX_FMT_YUV420P,
  AVCOL_RANGE_JPEG,
  AVCOL_RANGE_MPEG,
  FF_QP2LAMBDA,
} from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, Packet, Rational } from 'node-av/lib';
import type { WorkSettings } from '../products.ts';
import { type Still, toFrame } from './still.ts';

type PictureFormat = WorkSettings['pictureFormat'];

/** What the names of files of each format end in. */
export const EXTENSIONS: Readonly<Record<PictureFormat, string>> = { jpeg: 'jpg', webp: 'webp' };

const ENCODERS: Readonly<Record<PictureFormat, string>> = { jpeg: 'mjpeg', webp: 'libwebp' };
/** Of FFmpeg's scale from 2 to 31, where less is better: hardly to be told from the original. */
const JPEG_QUALITY = 4 * FF_QP2LAMBDA;

/** Where stills are written, and how. */
export interface StillFiles {
  readonly folder: string;
  readonly format: PictureFormat;
}

/**
 * Writes a still below the folder, under `name` and the extension of the format.
 * @returns its path below the folder.
 * @throws {FFmpegError} when it cannot be encoded.
 * @throws errors of the system.
 */
export async function writeStill(
  still: Still,
  name: string,
  { folder, format }: StillFiles,
): Promise<string> {
  const path = `${name}.${EXTENSIONS[format]}`;
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), encode(still, format));
  return path;
}

function encode(still: Still, format: PictureFormat): Buffer {
  // A branded string, checked by the look-up itself.
  const codec = Codec.findEncoderByName(ENCODERS[format] as FFEncoderCodec);
  if (!codec) throw new Error(`This FFmpeg has no encoder ${ENCODERS[format]}.`);
  const isJpeg = format === 'jpeg';
  const context = new CodecContext();
  context.allocContext3(codec);
  const packet = new Packet();
  packet.alloc();
  const frame = toFrame(still);
  try {
    frame.colorRange = isJpeg ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
    context.width = still.width;
    context.height = still.height;
    context.pixelFormat = AV_PIX_FMT_YUV420P;
    context.colorRange = frame.colorRange;
    context.timeBase = new Rational(1, 1);
    context.threadCount = 1;
    if (isJpeg) {
      context.setFlags(AV_CODEC_FLAG_QSCALE);
      context.globalQuality = JPEG_QUALITY;
      frame.quality = JPEG_QUALITY;
    }
    FFmpegError.throwIfError(context.open2Sync(codec), 'encode a picture');
    FFmpegError.throwIfError(context.sendFrameSync(frame), 'encode a picture');
    FFmpegError.throwIfError(context.sendFrameSync(null), 'encode a picture');
    FFmpegError.throwIfError(context.receivePacketSync(packet), 'encode a picture');
    // The packet's memory ends with it.
    return Buffer.from(packet.data ?? []);
  } finally {
    frame.free();
    packet.free();
    context.freeContext();
  }
}
