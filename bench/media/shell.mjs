import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';

/** Whether the tools that the peers are made of are there. */
export const hasTools = existsSync('/usr/bin/ffmpeg') && existsSync('/usr/bin/ffprobe');

/** Runs a script in the shell. @returns the seconds that it took, and the seconds of CPU of all that it ran */
export async function runShell(script, args) {
  const begin = performance.now();
  // `times` tells of the shell and of what it has waited for.
  const shell = spawn('/bin/bash', ['-c', `set -eu -o pipefail\n${script}\ntimes >&3`, 'bench', ...args], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    env: { PATH: '/usr/bin:/bin' },
  });
  let [errors, times] = ['', ''];
  shell.stderr.on('data', (chunk) => {
    errors = (errors + chunk).slice(-4_000);
  });
  shell.stdio[3].on('data', (chunk) => {
    times += chunk;
  });
  const [code] = await once(shell, 'close');
  if (code !== 0) throw new Error(`the script ended with ${code}: ${errors}`);
  return { seconds: (performance.now() - begin) / 1000, cpuSeconds: cpuOf(times) };
}

/** The sum of bash's `times`: 0m0.010s and the like. */
const cpuOf = (times) =>
  [...times.matchAll(/(\d+)m([\d.]+)s/g)].reduce(
    (sum, [, minutes, seconds]) => sum + Number(minutes) * 60 + Number(seconds),
    0,
  );

/** What a person would write to know of each file what an import without full ingestion knows, and to have it. */
export const COPY_AND_PROBE = `
for file in "$1"/*; do
  name=$(basename "$file")
  ffprobe -v error -show_format -show_streams -of json "$file" > "$2/$name.json"
  sha256sum "$file" > "$2/$name.sha256"
  cp "$file" "$2/$name"
done`;

/** The same for full ingestion: one command for each output, as they stand in manuals. */
const INGEST = `
ingest() {
  file=$1; out="$2/$(basename "$1")"; mkdir -p "$out"
  sha256sum "$file" > "$out/sha256"
  cp "$file" "$out/original"
  duration=$(ffprobe -v error -show_entries format=duration -of csv=p=0 "$file")
  ff() { ffmpeg -nostdin -v error -y -i "$file" "$@"; }
  ff -map 0:v:0 -map 0:a:0? -c copy -f hls -hls_time 6 -hls_playlist_type vod -hls_segment_type fmp4 -hls_flags single_file "$out/main.m3u8"
  ff -vf "thumbnail=300,scale='min(1280,iw)':-2" -frames:v 1 "$out/poster.jpg"
  ff -vf "fps=10/$duration,scale='min(640,iw)':-2" -frames:v 10 "$out/thumbnail-%02d.jpg"
  ff -vf "fps=1,scale=160:-2,tile=10x10" "$out/storyboard-%02d.jpg"
  ff -an -vf "scdet=threshold=10,metadata=print:file=$out/scenes.txt" -f null -
  ff -an -vf "fps=2,blockdetect,blurdetect,bitplanenoise,signalstats,metadata=print:file=$out/quality.txt" -f null -
  ff -an -vf "idet,metadata=print:file=$out/scan-type.txt" -f null -
  ff -an -vf "fps=1,scale=32:32,format=gray" -f rawvideo "$out/fingerprint.raw"
}`;
export const INGEST_ONE_BY_ONE = `${INGEST}\nfor file in "$1"/*; do ingest "$file" "$2"; done`;
export const INGEST_TWO_AT_ONCE = `${INGEST}\nexport -f ingest\nls -d "$1"/* | xargs -P 2 -I {} bash -c 'set -eu; ingest "$1" "$2"' bench {} "$2"`;
