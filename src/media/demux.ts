import { open as openFile } from 'node:fs/promises';
import {
  AV_DISPOSITION_ATTACHED_PIC,
  AV_DISPOSITION_TIMED_THUMBNAILS,
  AVFMT_FLAG_CUSTOM_IO,
  AVMEDIA_TYPE_VIDEO,
  AVSEEK_CUR,
  AVSEEK_END,
  AVSEEK_SIZE,
} from 'node-av/constants';
import { Dictionary, FormatContext, IOContext, type Stream } from 'node-av/lib';
import { type ByteSource, createFileSource, readFully } from './byte-source.ts';
import { broken, unsupported } from './errors.ts';
import { CODEC_WHITELIST, FORMAT_WHITELIST, looksLikeVideo } from './formats.ts';
import { isDecodable } from './picture.ts';

export interface OpenVideo {
  readonly source: ByteSource;
  readonly context: FormatContext;
  /** The stream that is shown. */
  readonly stream: Stream;
  /** FFmpeg's name of the demuxer. */
  readonly demuxer: string;
  /** The first bytes of the file. */
  readonly head: Buffer;
}

const IO_BUFFER = 64 * 1024;
const EIO = -5;
const MOST_TRACKS = 64;
/** AVIF and HEIC open like an MP4 of one frame. */
const STILL_IMAGE_BRANDS = new Set(['heic', 'heix', 'mif1', 'avif']);

/**
 * Opens a file with FFmpeg through `source`, never by its name, hands it to `use`, and closes it.
 * Throws MediaRejectedError, or whatever `source` threw: a verdict reached on bytes that could not be read
 * is none.
 */
export async function withOpenVideo<T>(
  source: ByteSource,
  use: (video: OpenVideo) => Promise<T>,
): Promise<T> {
  if (source.size === 0) throw broken('the file is empty');
  const head = await readFully(source, 0, 1024);
  const context = new FormatContext();
  context.allocContext();
  const failure: { error?: unknown } = {};
  context.pb = createIo(source, failure);
  context.setFlags(AVFMT_FLAG_CUSTOM_IO);
  try {
    return await use(await open(context, source, head));
  } catch (error) {
    throw failure.error ?? error;
  } finally {
    await context.closeInput();
  }
}

/**
 * Opens a local file so that FFmpeg reads it by itself: its calls that block the process, which are the fast ones, can
 * wait for nothing of ours. It gets the open file and no name, and is allowed no other way to bytes.
 * @throws {MediaRejectedError} when it is no video that is accepted.
 */
export async function withOpenVideoFile<T>(path: string, use: (video: OpenVideo) => Promise<T>): Promise<T> {
  const handle = await openFile(path);
  try {
    const source = await createFileSource(handle);
    if (source.size === 0) throw broken('the file is empty');
    const head = await readFully(source, 0, 1024);
    const context = new FormatContext();
    context.allocContext();
    try {
      return await use(await open(context, source, head, handle.fd));
    } finally {
      await context.closeInput();
    }
  } finally {
    await handle.close();
  }
}

function createIo(source: ByteSource, failure: { error?: unknown }): IOContext {
  let position = 0;
  const io = new IOContext();
  const read = async (length: number): Promise<Buffer | null | number> => {
    if (failure.error) return EIO;
    try {
      const bytes = await source.read(position, length);
      position += bytes.length;
      return bytes.length > 0 ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length) : null;
    } catch (error) {
      failure.error = error;
      return EIO;
    }
  };
  const seek = (offset: bigint, whence: number): number => {
    if (whence & AVSEEK_SIZE) return source.size;
    const from = { [AVSEEK_CUR]: position, [AVSEEK_END]: source.size }[whence & 3] ?? 0;
    const target = from + Number(offset);
    if (target < 0 || !Number.isSafeInteger(target)) return -22;
    position = target;
    return target;
  };
  io.allocContextWithCallbacks(IO_BUFFER, 0, read, null, seek);
  return io;
}

/** Opens what `context` reads, or an open file by its number. */
async function open(
  context: FormatContext,
  source: ByteSource,
  head: Buffer,
  file?: number,
): Promise<OpenVideo> {
  if (head.toString('latin1', 4, 8) === 'ftyp' && STILL_IMAGE_BRANDS.has(head.toString('latin1', 8, 12))) {
    throw unsupported('this is a still image');
  }
  const options = Dictionary.fromObject({
    ...(file === undefined ? { protocol_whitelist: 'file' } : { protocol_whitelist: 'fd', fd: file }),
    format_whitelist: FORMAT_WHITELIST,
    codec_whitelist: CODEC_WHITELIST,
    max_streams: MOST_TRACKS,
    // What FFmpeg may read before it has found out about every track: planning reads 8 MiB of a file at most.
    // Nothing that is taken from it needs the first time stamps, which it would read up to fifty pictures for.
    ...(source.remote ? { probesize: 2_000_000, max_ts_probe: 0 } : {}),
  });
  const opened = await context.openInput(file === undefined ? '' : 'fd:', null, options);
  if (opened < 0) {
    if (looksLikeVideo(head)) throw broken('its structure is damaged or incomplete');
    throw unsupported('this is no video in a format that is accepted');
  }
  assertPictureSizes(context);
  if ((await context.findStreamInfo()) < 0) throw broken('its tracks cannot be read');
  assertPictureSizes(context);
  const stream = chooseStream(context);
  return { source, context, stream, head, demuxer: context.iformat?.name ?? '' };
}

function chooseStream(context: FormatContext): Stream {
  const { streams } = context;
  if (streams.length === 0) throw broken('it holds no tracks');
  if (streams.length > MOST_TRACKS) throw broken(`it claims to hold more than ${MOST_TRACKS} tracks`);
  const candidates = videoStreams(context);
  const best = candidates.find(({ index }) => index === context.findBestStream(AVMEDIA_TYPE_VIDEO));
  const stream = best ?? candidates[0];
  if (!stream) throw unsupported('the file holds no video track');
  return stream;
}

/** Cover pictures and thumbnails are video tracks to FFmpeg, and no video to anybody. */
function videoStreams(context: FormatContext): Stream[] {
  return context.streams.filter(
    (stream) =>
      stream.codecpar.codecType === AVMEDIA_TYPE_VIDEO &&
      (stream.disposition & (AV_DISPOSITION_ATTACHED_PIC | AV_DISPOSITION_TIMED_THUMBNAILS)) === 0,
  );
}

/** Refuses absurd sizes before a decoder sees them; 0x0 is a size not known yet. */
function assertPictureSizes(context: FormatContext): void {
  for (const { codecpar } of videoStreams(context)) {
    const { width, height } = codecpar;
    if ((width !== 0 || height !== 0) && !isDecodable({ width, height })) {
      throw broken(`its picture claims to be ${width}x${height} pixels`);
    }
  }
}
