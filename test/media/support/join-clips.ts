import { FFmpegError, FormatContext, Packet } from 'node-av/lib';

/** Puts all tracks of several files into one MP4, as they are, one file's packets behind the other's. */
export async function joinClips(paths: readonly string[], target: string): Promise<void> {
  await using output = new FormatContext();
  FFmpegError.throwIfError(output.allocOutputContext2(null, 'mp4', target), target);
  const inputs: FormatContext[] = [];
  try {
    for (const path of paths) {
      const input = new FormatContext();
      inputs.push(input);
      FFmpegError.throwIfError(await input.openInput(path), path);
      for (const { codecpar, timeBase } of input.streams) {
        const stream = output.newStream(null);
        FFmpegError.throwIfError(codecpar.copy(stream.codecpar), 'track');
        stream.timeBase = timeBase;
      }
    }
    FFmpegError.throwIfError(output.openOutputSync(), target);
    FFmpegError.throwIfError(output.writeHeaderSync(), 'header');
    let first = 0;
    for (const input of inputs) {
      copyPackets(input, output, first);
      first += input.streams.length;
    }
    FFmpegError.throwIfError(output.writeTrailerSync(), 'trailer');
    output.closeOutputSync();
  } finally {
    for (const input of inputs) await input.closeInput();
  }
}

function copyPackets(input: FormatContext, output: FormatContext, first: number): void {
  using packet = new Packet();
  packet.alloc();
  while (input.readFrameSync(packet) >= 0) {
    const from = input.streams[packet.streamIndex];
    const to = output.streams[first + packet.streamIndex];
    if (from === undefined || to === undefined) continue;
    packet.streamIndex = to.index;
    packet.rescaleTs(from.timeBase, to.timeBase);
    FFmpegError.throwIfError(output.writeFrameSync(packet), 'packet');
    packet.unref();
  }
}
