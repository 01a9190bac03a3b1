import { AV_CHANNEL_LAYOUT_MONO, AV_SAMPLE_FMT_S16 } from 'node-av/constants';
import { FFmpegError, FormatContext, Rational } from 'node-av/lib';
import { findEncoder, openEncoder } from '../../../src/demo/encode-track.ts';
import { openFrameSource } from '../../../src/demo/pictures.ts';
import { writeTrack } from './write-track.ts';

const RATE = 48_000;
const TONE = `sine=440:sample_rate=${RATE}:duration=3,aformat=sample_fmts=s16:channel_layouts=mono,asetnsamples=1152:p=0`;

/** Writes three seconds of a tone with one channel as a transport stream: to follow a clip whose sound has two, as MP2, and which it goes on with. */
export async function writeMonoTone(path: string): Promise<void> {
  await using output = new FormatContext();
  FFmpegError.throwIfError(output.allocOutputContext2(null, 'mpegts', path), path);
  // The second stream of a clip is its sound.
  FFmpegError.throwIfError(output.setOption('mpegts_start_pid', '257'), path);
  FFmpegError.throwIfError(output.setOption('output_ts_offset', '3'), path);
  const { codec, context } = findEncoder('mp2');
  const source = openFrameSource(TONE, 'abuffersink');
  context.sampleRate = RATE;
  context.sampleFormat = AV_SAMPLE_FMT_S16;
  context.channelLayout = AV_CHANNEL_LAYOUT_MONO;
  context.timeBase = new Rational(1, RATE);
  context.bitRate = 96_000n;
  openEncoder(context, codec, {});
  writeTrack(path, { output, context, source });
}
