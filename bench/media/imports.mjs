import { cp, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeClips } from '../../dist/demo/clips.js';
import { makeBenchClips } from '../plan/clips.mjs';
import { cpuBetween, cpuOfServer } from '../plan/cpu.mjs';
import { startServer } from '../server.mjs';
import { formatTable, median } from '../table.mjs';
import { copyMarked } from './copies.mjs';
import { createFolder, failedStages, importFolder } from './folder-import.mjs';
import { COPY_AND_PROBE, hasTools, INGEST_ONE_BY_ONE, INGEST_TWO_AT_ONCE, runShell } from './shell.mjs';

/** The smallest clips of the planning benchmark: what an import costs beside the copying shows in them. */
const SMALL = /-(1|2\.5)\./;

/**
 * Imports without full ingestion beside a shell loop of ffprobe, sha256sum and cp over the same files; prints the table.
 * @param options.clips how many
 */
export async function measurePlainImports({ rounds, clips: count, folder }) {
  const small = (await makeBenchClips(join(folder, 'clips'))).filter((path) => SMALL.test(path));
  await measure({
    folder,
    rounds,
    title: `Import of ${count} clips, without full ingestion`,
    fill: (to) => copyMarked(small, count, to),
    sluice: {},
    peers: { 'ffprobe + sha256sum + cp, one by one': COPY_AND_PROBE },
  });
}

/** Full ingestion beside the commands of ffmpeg that make the same; prints the table. */
export async function measureFullImports({ rounds, full: count, folder }) {
  await measure({
    folder,
    rounds,
    title: `Full ingestion of ${count} clips of ${SECONDS} s, 720p H.264/AAC in MP4`,
    fill: (to) => encode(to, { count, seconds: SECONDS }),
    sluice: { fullIngestion: true },
    peers: {
      'ffmpeg, one command after the other': INGEST_ONE_BY_ONE,
      'the same, two files at once': INGEST_TWO_AT_ONCE,
    },
  });
}

/** Of each clip that is fully ingested. */
const SECONDS = 30;

const HEAD = ['', 'seconds', 'files/s', 'x first peer', 'CPU s'];
const SLUICE = 'Sluice: from startImport to the last READY';

async function measure({ folder, rounds, title, fill, sluice, peers }) {
  const source = await mkdtemp(join(folder, 'source-'));
  const files = await fill(source);
  const rows = [];
  const server = await startServer({ SLUICE_ALLOW_FOLDERS: folder, SLUICE_RATE_CALLS_PER_MINUTE: '0' });
  try {
    const integrationId = await createFolder(server, source);
    const contenders = {
      [SLUICE]: () => runSluice(server, { integrationId, input: sluice, files }),
      ...Object.fromEntries(
        Object.entries(peers).map(([name, script]) => [name, () => runPeer(script, source)]),
      ),
    };
    const names = hasTools ? Object.keys(contenders) : [SLUICE];
    // A first one, not measured: compiled code, children that are there.
    await contenders[SLUICE]();
    for (let round = 0; round < rounds; round += 1)
      for (const name of round % 2 === 0 ? names : names.toReversed()) {
        const row = { name, round, ...(await contenders[name]()) };
        rows.push(row);
        process.stderr.write(`${round + 1}/${rounds} ${name}: ${row.seconds.toFixed(2)} s\n`);
      }
  } finally {
    await server.stop();
    await rm(source, { recursive: true, force: true });
  }
  print({ title, rows, files, names: [SLUICE, ...Object.keys(peers)] });
}

async function runSluice(server, { integrationId, input, files }) {
  const before = cpuOfServer(server.pid);
  const { id, counts, seconds } = await importFolder(server, { integrationId, input });
  if (counts.ready !== files) throw new Error(`not all came in: ${JSON.stringify(counts)}`);
  const failed = await failedStages(server, id);
  if (failed.length > 0) throw new Error(failed.join('\n'));
  const { server: own, media, database } = cpuBetween(before, cpuOfServer(server.pid));
  return { seconds, cpuSeconds: (own + media + database) / 1000 };
}

async function runPeer(script, source) {
  const to = await mkdtemp(join(tmpdir(), 'sluice-bench-peer-'));
  try {
    return await runShell(script, [source, to]);
  } finally {
    await rm(to, { recursive: true, force: true });
  }
}

function print({ title, rows, files, names }) {
  const of = (name) => rows.filter((row) => row.name === name);
  const base = of(names[1]);
  const ratios = (own) =>
    own.flatMap(({ round, seconds }) => {
      const peer = base.find((row) => row.round === round);
      return peer ? [peer.seconds / seconds] : [];
    });
  const lines = names.map((name) => {
    const own = of(name);
    if (own.length === 0) return [name, 'not installed', '', '', ''];
    const seconds = median(own.map((row) => row.seconds));
    const against = ratios(own);
    const range = `[${Math.min(...against).toFixed(2)}-${Math.max(...against).toFixed(2)}]`;
    return [
      name,
      seconds.toFixed(2),
      (files / seconds).toFixed(2),
      against.length > 0 ? `${median(against).toFixed(2)} ${range}` : '',
      median(own.map((row) => row.cpuSeconds)).toFixed(1),
    ];
  });
  process.stdout.write(`\n${title}\n\n${formatTable([HEAD, ...lines])}\n`);
}

/** Encodes clips once and keeps them beside. */
async function encode(to, { count, seconds }) {
  const kept = join(to, '..', `full-${seconds}`);
  await mkdir(kept, { recursive: true });
  const there = await readdir(kept);
  const specs = Array.from({ length: count }, (_, seed) => ({
    name: `full-${seed}`,
    container: 'mp4',
    width: 1280,
    height: 720,
    seconds,
    bitrate: 2_500_000,
    seed: seed + 1,
  }));
  const missing = specs.filter(({ name }) => !there.includes(`${name}.mp4`));
  if (missing.length > 0) await makeClips(missing, kept);
  for (const { name } of specs) await cp(join(kept, `${name}.mp4`), join(to, `${name}.mp4`));
  return count;
}
