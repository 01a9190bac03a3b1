import { createHash } from 'node:crypto';
import { AV_NOPTS_VALUE } from 'node-av/constants';
import { FFmpegError, FormatContext, Packet } from 'node-av/lib';

/** What FFmpeg reads of one track. */
export interface TrackPackets {
  /** The hash of each packet, in the order of decoding. */
  readonly hashes: readonly string[];
  /** When each is shown, in microseconds. */
  readonly shownAt: readonly number[];
}

/** Reads every packet of a file, track by track. */
export async function readPackets(path: string): Promise<readonly TrackPackets[]> {
  await using input = new FormatContext();
  FFmpegError.throwIfError(await input.openInput(path), path);
  const tracks = input.streams.map(() => ({ hashes: [] as string[], shownAt: [] as number[] }));
  const units = input.streams.map(({ timeBase }) => timeBase.toDouble());
  using packet = new Packet();
  packet.alloc();
  while (input.readFrameSync(packet) >= 0) {
    const track = tracks[packet.streamIndex];
    track?.hashes.push(
      createHash('md5')
        .update(packet.data ?? '')
        .digest('hex'),
    );
    if (packet.pts !== AV_NOPTS_VALUE)
      track?.shownAt.push(Math.round(Number(packet.pts) * (units[packet.streamIndex] ?? 0) * 1e6));
    packet.unref();
  }
  return tracks;
}
