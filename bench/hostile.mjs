import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { makeClip } from '../dist/demo/clips.js';
import { ANALYZERS } from '../dist/media/analysis/analyzers.js';
import { createMediaPool } from '../dist/media/pool.js';
import { residentMemory } from '../dist/media/resident-memory.js';
import { createWorkPool } from '../dist/media/work-pool.js';
import './plan/typescript.mjs';
import { formatTable, median } from './table.mjs';

const MIB = 1024 * 1024;
const LOOK_MS = 50;

/**
 * Sound files through the media processes, alone and with broken ones among them; prints the table.
 * @param args --rounds N (3), --files N (200 sound ones), --broken N (40)
 */
export async function run(args) {
  const { values } = parseArgs({
    args,
    options: { rounds: { type: 'string' }, files: { type: 'string' }, broken: { type: 'string' } },
  });
  const [rounds, files, broken] = [values.rounds ?? 3, values.files ?? 200, values.broken ?? 40].map(Number);
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-hostile-'));
  try {
    const sound = join(folder, 'sound.mp4');
    await makeClip({ seconds: 4 }, sound);
    const hostile = await writeHostile(folder, sound, broken);
    const clean = Array.from({ length: files }, () => ({ path: sound, isSound: true }));
    const rows = [];
    for (let round = 0; round < rounds; round += 1) {
      const alone = await measure(folder, clean);
      const mixed = await measure(folder, mix(clean, hostile));
      rows.push({ alone, mixed, ratio: mixed.rate / alone.rate });
    }
    print(rows, { rounds, files, broken: hostile.length });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function writeHostile(folder, sound, count) {
  const { hostileFiles } = await import('../test/media/support/hostile-files.ts');
  const kinds = hostileFiles(await readFile(sound), count).slice(0, count);
  return await Promise.all(
    kinds.map(async ({ bytes }, index) => {
      const path = join(folder, `broken-${index}.mp4`);
      await writeFile(path, bytes);
      return { path, isSound: false };
    }),
  );
}

/** The broken ones spread evenly among the others. */
function mix(clean, hostile) {
  const every = clean.length / hostile.length;
  return clean.flatMap((file, index) => {
    const from = Math.ceil(index / every);
    return [file, ...hostile.slice(from, Math.ceil((index + 1) / every))];
  });
}

/** Each file is probed, and everything is made of it, whatever the probe says: as if the first wall were not there. */
async function measure(folder, files) {
  const size = availableParallelism();
  const log = pino({ level: 'silent' });
  const deaths = [];
  const probes = createMediaPool({ size, log });
  const works = createWorkPool({ size, log, onDeath: (reason) => deaths.push(reason) });
  const memory = watchMemory([probes, works]);
  const failed = [];
  const waiting = [...files];
  const serve = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const errors = await serveOne({ probes, works, folder, ...file });
      if (file.isSound && errors > 0) failed.push(file);
    }
  };
  try {
    // The first calls start the processes.
    await serveOne({ probes, works, folder, ...files[0] });
    const started = performance.now();
    await Promise.all(Array.from({ length: size }, serve));
    const seconds = (performance.now() - started) / 1000;
    const rate = files.filter(({ isSound }) => isSound).length / seconds;
    return { seconds, rate, deaths: deaths.length, failed: failed.length, ...memory.stop() };
  } finally {
    memory.stop();
    await Promise.all([probes.close(), works.close()]);
  }
}

/** @returns how many of its products, or its probe, failed */
async function serveOne({ probes, works, folder, path }) {
  const { signal } = new AbortController();
  const products = ['STREAM', ...Object.keys(ANALYZERS)];
  const settings = { pictureFormat: 'jpeg', ladder: [] };
  let errors = 0;
  const facts = await probes.probeFile(path, { signal }).catch(() => ({ size: 1_000_000, duration: 4 }));
  const own = await mkdtemp(join(folder, 'work-'));
  const work = { path, folder: own, products, settings, signal, size: facts.size, duration: facts.duration };
  await works.work(work, {
    onProgress: () => {},
    onOutcome: (outcome) => {
      if ('error' in outcome) errors += 1;
    },
  });
  await rm(own, { recursive: true });
  return errors;
}

/** Looks at this process and its children now and then. */
function watchMemory(pools) {
  const before = process.memoryUsage.rss();
  let [parent, child] = [before, 0];
  const timer = setInterval(async () => {
    parent = Math.max(parent, process.memoryUsage.rss());
    const held = await Promise.all(pools.flatMap((pool) => pool.pids().map(residentMemory)));
    child = Math.max(child, ...held);
  }, LOOK_MS);
  return {
    stop() {
      clearInterval(timer);
      return { grown: parent - before, child };
    },
  };
}

function print(rows, { rounds, files, broken }) {
  const of = (part, name) => median(rows.map((row) => row[part][name]));
  const most = (part, name) => Math.max(...rows.map((row) => row[part][name]));
  const line = (what, part, ratio) => [
    what,
    of(part, 'seconds').toFixed(1),
    of(part, 'rate').toFixed(1),
    ratio,
    most(part, 'failed'),
    most(part, 'deaths'),
    Math.round(most(part, 'grown') / MIB),
    Math.round(most(part, 'child') / MIB),
  ];
  process.stdout.write(
    `\nProbe and products (${['STREAM', ...Object.keys(ANALYZERS)].join(', ')}) of clips of 4 s, ${availableParallelism()} at once; medians of ${rounds} rounds;
Node ${process.version}, ${cpus().length} CPUs. "failed": sound files of which something could not be made. "deaths": processes that died at work.
Memory in MiB, the most of all rounds.\n\n`,
  );
  const ratio = median(rows.map((row) => row.ratio)).toFixed(2);
  const table = [
    ['files', 's', 'sound files/s', 'ratio', 'failed', 'deaths', 'parent grew', 'largest child'],
    line(`${files} sound`, 'alone', '1.00'),
    line(`and ${broken} broken`, 'mixed', ratio),
  ];
  process.stdout.write(`${formatTable(table)}\n`);
}
