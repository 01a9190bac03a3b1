import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const FFMPEG = process.env.FFMPEG ?? 'ffmpeg';
const run = promisify(execFile);

/** The first line that ffmpeg says of itself; null where there is none. FFMPEG names another one than that of the PATH. */
export const ffmpegVersion = () =>
  run(FFMPEG, ['-version']).then(
    ({ stdout }) => stdout.split('\n')[0].replace(/ Copyright.*/, ''),
    () => null,
  );

/** HLS by stream copy, its segments in one file. @returns seconds from its start to its end, and milliseconds of CPU */
export async function copyByFfmpeg({ path, folder, segmentSeconds }) {
  const begin = performance.now();
  const args = ['-benchmark', '-nostats', '-y', '-i', path, '-map', '0:v:0', '-map', '0:a:0', '-c', 'copy'];
  const hls = ['-f', 'hls', '-hls_time', String(segmentSeconds), '-hls_playlist_type', 'vod'];
  const one = ['-hls_segment_type', 'fmp4', '-hls_flags', 'single_file', join(folder, 'main.m3u8')];
  const { stderr } = await run(FFMPEG, [...args, ...hls, ...one], { cwd: folder, maxBuffer: 2 ** 27 });
  const seconds = (performance.now() - begin) / 1000;
  const [, user, system] = /utime=([\d.]+)s stime=([\d.]+)s/.exec(stderr) ?? [];
  return { seconds, cpu: (Number(user) + Number(system)) * 1000 };
}
