import { mkdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FFmpegError, FormatContext, Packet } from 'node-av/lib';
import { makeClip } from '../../dist/demo/clips.js';

const CLIP_SECONDS = 20;
/** 720p as cameras and encoders write it: pictures that are reordered, a key picture every two seconds. */
const CLIP = {
  width: 1280,
  height: 720,
  frameRate: 30,
  bitrate: 3_000_000,
  reordered: 2,
  seconds: CLIP_SECONDS,
};

/**
 * An MP4 of H.264 and AAC, its index in front, which repeats one clip; one that the folder has already is kept.
 * @returns its path
 */
export async function makeLongFile(folder, seconds) {
  await mkdir(folder, { recursive: true });
  const [clip, long] = [join(folder, 'clip.mp4'), join(folder, `long-${seconds}.mp4`)];
  if (await isThere(long)) return long;
  if (!(await isThere(clip))) await makeClip(CLIP, clip);
  await repeat(clip, { target: `${long}.part`, times: Math.ceil(seconds / CLIP_SECONDS) });
  await rename(`${long}.part`, long);
  return long;
}

const isThere = (path) => stat(path).catch(() => null);

async function repeat(clip, { target, times }) {
  const output = new FormatContext();
  check(output.allocOutputContext2(null, 'mp4', target));
  check(output.setOption('movflags', '+faststart'));
  for (let time = 0; time < times; time += 1) {
    const input = new FormatContext();
    check(await input.openInput(clip));
    if (time === 0) begin(input, output);
    copyPackets(input, output, time * CLIP_SECONDS);
    await input.closeInput();
  }
  check(output.writeTrailerSync());
  output.closeOutputSync();
  output.freeContext();
}

function begin(input, output) {
  for (const { codecpar, timeBase } of input.streams) {
    const stream = output.newStream(null);
    check(codecpar.copy(stream.codecpar));
    stream.timeBase = timeBase;
  }
  check(output.openOutputSync());
  check(output.writeHeaderSync());
}

function copyPackets(input, output, delay) {
  const packet = new Packet();
  packet.alloc();
  while (input.readFrameSync(packet) >= 0) {
    const { timeBase } = output.streams[packet.streamIndex];
    packet.rescaleTs(input.streams[packet.streamIndex].timeBase, timeBase);
    const ticks = BigInt(Math.round(delay / timeBase.toDouble()));
    packet.pts += ticks;
    packet.dts += ticks;
    // The sound of one round ends a little after its pictures do, where the next begins: it is left out.
    const isSurplus = packet.streamIndex === 1 && packet.pts >= ticks + BigInt(CLIP_SECONDS * timeBase.den);
    // What primes the decoder comes once.
    const isPriming = packet.streamIndex === 1 && delay > 0 && packet.pts < ticks;
    if (!isSurplus && !isPriming) check(output.interleavedWriteFrameSync(packet));
    packet.unref();
  }
  packet.free();
}

const check = (result) => FFmpegError.throwIfError(result, 'long file');
