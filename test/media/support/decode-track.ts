import { AVMEDIA_TYPE_VIDEO } from 'node-av/constants';
import { avGetCodecName, Codec, CodecContext, FFmpegError, FormatContext, Frame, Packet } from 'node-av/lib';

/** What comes out of the only track of a file. Times in seconds. */
export interface DecodedTrack {
  readonly codec: string | null;
  readonly width: number;
  readonly height: number;
  readonly pixelAspect: number;
  readonly colorTransfer: number;
  /** How many frames were decoded, and how many of them have a flaw. */
  readonly frames: number;
  readonly flawed: number;
  /** When the first frame is shown or heard, and when the last one ends. */
  readonly start: number;
  readonly end: number;
  /** When the key pictures are shown. */
  readonly keys: readonly number[];
  /** The first picture's brightness, line by line, and the bytes of a line. */
  readonly luma: Buffer;
  readonly stride: number;
}

/** Decodes all of a file's best track of pictures, or of sound where it has none. */
export async function decodeTrack(path: string): Promise<DecodedTrack> {
  await using input = new FormatContext();
  FFmpegError.throwIfError(await input.openInput(path), path);
  FFmpegError.throwIfError(await input.findStreamInfo(), path);
  const stream =
    input.streams.find(({ codecpar }) => codecpar.codecType === AVMEDIA_TYPE_VIDEO) ?? input.streams[0];
  const codec = stream && Codec.findDecoder(stream.codecpar.codecId);
  if (!stream || !codec) throw new Error(`nothing in ${path} can be decoded`);
  using decoder = new CodecContext();
  decoder.allocContext3(codec);
  decoder.parametersToContext(stream.codecpar);
  decoder.pktTimebase = stream.timeBase;
  FFmpegError.throwIfError(decoder.open2Sync(codec), path);
  const unit = stream.timeBase.toDouble();
  const result = { frames: 0, flawed: 0, start: Number.POSITIVE_INFINITY, end: 0, keys: [] as number[] };
  let [luma, stride, colorTransfer] = [Buffer.alloc(0), 0, 0];
  using packet = new Packet();
  packet.alloc();
  using frame = new Frame();
  frame.alloc();
  const receive = (): void => {
    for (; decoder.receiveFrameSync(frame) >= 0; frame.unref()) {
      const at = Number(frame.bestEffortTimestamp) * unit;
      const length =
        frame.sampleRate > 0 ? frame.nbSamples / frame.sampleRate : Number(frame.duration) * unit;
      if (result.frames === 0)
        [luma, stride, colorTransfer] = [
          Buffer.from(frame.data?.[0] ?? ''),
          frame.linesize[0] ?? 0,
          frame.colorTrc,
        ];
      if (frame.keyFrame === 1 && frame.width > 0) result.keys.push(at);
      result.start = Math.min(result.start, at);
      result.end = Math.max(result.end, at + length);
      result.frames += 1;
      if (frame.decodeErrorFlags !== 0) result.flawed += 1;
    }
  };
  while (input.readFrameSync(packet) >= 0) {
    if (packet.streamIndex === stream.index) {
      if (decoder.sendPacketSync(packet) < 0) result.flawed += 1;
      receive();
    }
    packet.unref();
  }
  decoder.sendPacketSync(null);
  receive();
  const { codecpar, sampleAspectRatio: aspect } = stream;
  return {
    ...result,
    codec: avGetCodecName(codecpar.codecId),
    width: codecpar.width,
    height: codecpar.height,
    pixelAspect: aspect.num > 0 ? aspect.num / aspect.den : 1,
    colorTransfer,
    luma,
    stride,
  };
}
