import { AV_PKT_DATA_DISPLAYMATRIX, AVMEDIA_TYPE_AUDIO, AVMEDIA_TYPE_VIDEO } from 'node-av/constants';
import { avGetCodecName, FFmpegError, FormatContext, Packet } from 'node-av/lib';

/** What FFmpeg finds in a file that the tests made themselves. */
export interface ClipFacts {
  readonly format: string | null;
  readonly videoCodec: string | null;
  readonly audioCodec: string | null;
  readonly width: number;
  readonly height: number;
  readonly pixelAspect: string;
  /** The display matrix's first column, as cosine and sine of the clockwise turn; null without one. */
  readonly turn: readonly [number, number] | null;
  readonly videoPackets: number;
  readonly audioPackets: number;
  /** Seconds. */
  readonly duration: number;
}

/** Reads every packet of a file. */
export async function readClip(path: string): Promise<ClipFacts> {
  await using input = new FormatContext();
  FFmpegError.throwIfError(await input.openInput(path), path);
  FFmpegError.throwIfError(await input.findStreamInfo(), path);
  const video = input.streams.find((stream) => stream.codecpar.codecType === AVMEDIA_TYPE_VIDEO);
  const audio = input.streams.find((stream) => stream.codecpar.codecType === AVMEDIA_TYPE_AUDIO);
  const matrix = video?.codecpar.getCodedSideData(AV_PKT_DATA_DISPLAYMATRIX) ?? null;
  const packets = new Map<number, number>();
  using packet = new Packet();
  packet.alloc();
  while ((await input.readFrame(packet)) >= 0) {
    packets.set(packet.streamIndex, (packets.get(packet.streamIndex) ?? 0) + 1);
    packet.unref();
  }
  return {
    format: input.iformat?.name ?? null,
    videoCodec: video ? avGetCodecName(video.codecpar.codecId) : null,
    audioCodec: audio ? avGetCodecName(audio.codecpar.codecId) : null,
    width: video?.codecpar.width ?? 0,
    height: video?.codecpar.height ?? 0,
    pixelAspect: video?.codecpar.sampleAspectRatio.toString() ?? '',
    turn: matrix === null ? null : [matrix.readInt32LE(0) / 65_536, matrix.readInt32LE(4) / 65_536],
    videoPackets: packets.get(video?.index ?? -1) ?? 0,
    audioPackets: packets.get(audio?.index ?? -1) ?? 0,
    duration: Number(input.duration) / 1_000_000,
  };
}
