import { fork } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadLibrary } from '../libraries.mjs';
import { formatTable, median } from '../table.mjs';
import { copyByFfmpeg, ffmpegVersion } from './ffmpeg.mjs';
import { makeLongFile } from './files.mjs';

const SEGMENT_SECONDS = 6;
const BASE = 'ffmpeg -c copy';
const OURS = 'Sluice';
const FRESH = 'Sluice, in a new process';
const BUNNY = 'mediabunny';
const LIMIT = 'limit: copy the file';
const CUTTER = fileURLToPath(new URL('./cutter.mjs', import.meta.url));

/** HLS of a plain MP4 whose pictures and sound stay as they are, by turns; prints the table. */
export async function measureCopy({ folder, rounds, lengths }) {
  const version = await ffmpegVersion();
  const cutter = startCutter();
  const contenders = {
    [OURS]: (order) => cutter.ask({ ...order, way: 'sluice' }),
    [FRESH]: cutInNewProcess,
    ...(version === null ? {} : { [BASE]: copyByFfmpeg }),
    ...((await loadLibrary('mediabunny')) === null
      ? {}
      : { [BUNNY]: (order) => cutter.ask({ ...order, way: 'mediabunny' }) }),
    [LIMIT]: copyWhole,
  };
  const tables = [];
  try {
    for (const length of lengths) {
      process.stderr.write(`making a file of ${length} s\n`);
      const path = await makeLongFile(folder, length);
      tables.push({ length, size: (await stat(path)).size, rows: [] });
      await measureFile({ path, folder, rounds, length, contenders, rows: tables.at(-1).rows });
    }
  } finally {
    cutter.stop();
  }
  for (const table of tables) print(table, { rounds, version });
}

async function measureFile({ path, folder, rounds, length, contenders, rows }) {
  // The first round is for code to be compiled, and to look at what was made.
  for (let round = -1; round < rounds; round += 1) {
    const entries = Object.entries(contenders);
    // There and back, so that nobody always comes after the same one.
    for (const [name, measure] of round % 2 === 0 ? entries : entries.toReversed()) {
      const made = join(folder, 'made');
      await mkdir(made);
      const figures = await measure({ path, folder: made, segmentSeconds: SEGMENT_SECONDS });
      if (round < 0 && name !== LIMIT) await assertWhole(made, length);
      await rm(made, { recursive: true });
      if (round >= 0) rows.push({ name, round, ...figures });
      process.stderr.write(`${round + 1}/${rounds} ${name}: ${Math.round(figures.seconds * 1000)} ms\n`);
    }
  }
}

/** What plays for as long as the file does. */
async function assertWhole(folder, length) {
  const files = await readdir(folder, { recursive: true });
  const texts = files
    .filter((file) => file.endsWith('.m3u8'))
    .map((file) => readFile(join(folder, file), 'utf8'));
  const seconds = (await Promise.all(texts)).map((text) =>
    [...text.matchAll(/#EXTINF:([\d.]+)/g)].reduce((sum, [, duration]) => sum + Number(duration), 0),
  );
  if (Math.abs(Math.max(...seconds) - length) > 1)
    throw new Error(`${Math.max(...seconds)} s of ${length} s`);
}

function startCutter() {
  const child = fork(CUTTER);
  return {
    ask: async (order) => {
      child.send(order);
      const [figures] = await Promise.race([
        once(child, 'message'),
        once(child, 'exit').then(() => {
          throw new Error('the cutting process has ended');
        }),
      ]);
      return figures;
    },
    stop: () => child.kill(),
  };
}

async function cutInNewProcess(order) {
  const begin = performance.now();
  const cutter = startCutter();
  const { cpuOfProcess } = await cutter.ask({ ...order, way: 'sluice' });
  const seconds = (performance.now() - begin) / 1000;
  cutter.stop();
  return { seconds, cpu: cpuOfProcess };
}

async function copyWhole({ path, folder }) {
  const [cpu, begin] = [process.cpuUsage(), performance.now()];
  await copyFile(path, join(folder, 'copy.mp4'));
  const seconds = (performance.now() - begin) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { seconds, cpu: (user + system) / 1000 };
}

const HEAD = ['', 'x realtime', 'MB/s', `x ${BASE}`, 'min-max', 'CPU ms a second of video', `x ${BASE}`];

function print({ length, size, rows }, { rounds, version }) {
  const names = [OURS, FRESH, BASE, BUNNY, LIMIT];
  const body = names.map((name) => {
    const own = rows.filter((row) => row.name === name);
    if (own.length === 0) return [name, 'not installed', ...Array(HEAD.length - 2).fill('')];
    const seconds = median(own.map((row) => row.seconds));
    const speed = ratios(rows, name, (row) => 1 / row.seconds);
    return [
      name,
      Math.round(length / seconds),
      Math.round(size / 1e6 / seconds),
      speed.length > 0 ? median(speed).toFixed(2) : '-',
      speed.length > 0 ? `${Math.min(...speed).toFixed(2)}-${Math.max(...speed).toFixed(2)}` : '-',
      (median(own.map((row) => row.cpu)) / length).toFixed(2),
      ratioText(ratios(rows, name, (row) => row.cpu)),
    ];
  });
  process.stdout.write(`
HLS by copy: ${length} s of 720p H.264 and AAC in an MP4 of ${Math.round(size / 1e6)} MB, into segments of ${SEGMENT_SECONDS} s on the same disk. Sluice and
mediabunny in a process that has started; ffmpeg from its start to its end: ${version ?? 'not installed'}. Medians of ${rounds} rounds in turn, ratios
to ffmpeg in the same round. Node ${process.version}, ${cpus().length} CPUs.\n\n${formatTable([HEAD, ...body])}\n`);
}

const ratioText = (figures) => (figures.length > 0 ? median(figures).toFixed(2) : '-');

function ratios(rows, name, pick) {
  const base = rows.filter((row) => row.name === BASE);
  return rows
    .filter((row) => row.name === name)
    .flatMap((row) => {
      const other = base.find(({ round }) => round === row.round);
      return other ? [pick(row) / pick(other)] : [];
    });
}
