import { cpus } from 'node:os';
import { startServer } from '../server.mjs';
import { formatTable, median } from '../table.mjs';
import { makeBenchClips } from './clips.mjs';
import { cpuBetween, cpuOfServer } from './cpu.mjs';
import { createIntegration, startImport } from './import.mjs';
import { downloadAndProbe, ffprobeVersion, probeUrls } from './peers.mjs';
import { startStore } from './s3-store.mjs';

const PLANNED = 'Sluice: listed, planned, answered';
const DOWNLOADED = 'fetched whole, then ffprobe';
const ONE_BY_ONE = 'the same, one file after the other';
const URLS = 'ffprobe on the URL';
const SETTINGS = {
  SLUICE_PLAN_SECONDS: '600',
  // The transfers of this benchmark get no answer; one of them is enough.
  SLUICE_TRANSFER_CONCURRENCY: '1',
};

/** Plans an import of clips and does the same with ffprobe, by turns, and prints the table. */
export async function measureClips({ folder, count, latencyMs, rounds, only }) {
  process.stderr.write('encoding the clips\n');
  const files = await makeBenchClips(folder);
  const store = await startStore(0);
  const version = await ffprobeVersion();
  const rows = [];
  try {
    await store.run('fillWithClips', { files, count: count + WARM_UP });
    await store.run('setLatency', { ms: latencyMs });
    const keys = keysOf(files, count);
    const contenders = Object.entries(CONTENDERS).filter(
      ([name]) => name.includes(only) && (version !== null || name === PLANNED),
    );
    for (let round = 0; round < rounds; round += 1)
      for (const [name, measure] of round % 2 === 0 ? contenders : contenders.toReversed()) {
        const row = { name, round, ...(await measure(store, keys)) };
        rows.push(row);
        process.stderr.write(`${round + 1}/${rounds} ${name}: ${row.seconds.toFixed(2)} s\n`);
      }
  } finally {
    await store.stop();
  }
  print(rows, { count, latencyMs, rounds, version });
}

const WARM_UP = 20;

const keysOf = (files, count) =>
  Array.from({ length: count }, (_, n) => {
    const at = n + WARM_UP;
    return `library/${String(at).padStart(4, '0')}.${files[at % files.length].split('.').at(-1)}`;
  });

const counted = async (store, work) => {
  await store.run('startCounting');
  const seconds = await work();
  return { seconds, ...(await store.run('count')) };
};

const CONTENDERS = {
  [PLANNED]: measurePlanning,
  [DOWNLOADED]: (store, keys) => counted(store, () => downloadAndProbe(store, keys)),
  [ONE_BY_ONE]: (store, keys) => counted(store, () => downloadAndProbe(store, keys, 1)),
  [URLS]: (store, keys) => counted(store, () => probeUrls(store, keys)),
};

/** One import by a server of its own, which has imported a few before: it has its connections, and compiled code. */
async function measurePlanning(store, keys) {
  await store.run('holdTransfers', { held: true });
  const server = await startServer(SETTINGS);
  try {
    const warm = await createIntegration(server, store, 'clips');
    await startImport(server, warm, 'warm-up/');
    const integration = await createIntegration(server, store, 'clips');
    const before = cpuOfServer(server.pid);
    let planned;
    const figures = await counted(store, async () => {
      const begin = performance.now();
      planned = await startImport(server, integration, 'library/');
      return (performance.now() - begin) / 1000;
    });
    assertPlanned(planned, keys.length);
    return { ...figures, cpu: cpuBetween(before, cpuOfServer(server.pid)) };
  } finally {
    await server.stop();
    await store.run('holdTransfers', { held: false });
  }
}

function assertPlanned({ state, counts }, count) {
  const { found, undecided, rejected, skipped } = counts;
  if (state !== 'STARTED' || found !== count || undecided + rejected + skipped > 0)
    throw new Error(`not what was to be planned: ${JSON.stringify({ state, counts })}`);
}

const HEAD = [
  '',
  's',
  'min-max',
  'times as long',
  'GETs a file',
  'most',
  'KB a file',
  'LISTs',
  'CPU ms a file: server',
  'media',
  'PostgreSQL',
];

function print(rows, { count, latencyMs, rounds, version }) {
  const names = Object.keys(CONTENDERS).filter((name) => rows.some((row) => row.name === name));
  const body = names.map((name) => cellsOf(rows, name, count));
  const missing =
    version === null ? [[DOWNLOADED], [ONE_BY_ONE], [URLS]].map(([name]) => [name, 'not installed']) : [];
  process.stdout.write(`
${count} clips of 1 to 10 MB (mp4 with its index in front and behind, mov, mkv, webm, ts) in a bucket of a store on the loopback that waits
${latencyMs} ms before each answer. Sluice: startImport of that bucket until it answers STARTED, each file decided; transfers are
held back. Its peers take eight files at once, but for the one that says otherwise; ${version ?? 'there is no ffprobe'}. Medians of ${rounds} rounds in turn; "times as
long": the median of the rounds' ratios to Sluice. Node ${process.version}, ${cpus().length} CPUs.\n\n`);
  process.stdout.write(
    `${formatTable([HEAD, ...body, ...missing].map((row) => [...row, ...Array(HEAD.length - row.length).fill('')]))}\n`,
  );
}

function cellsOf(rows, name, count) {
  const own = rows.filter((row) => row.name === name);
  const base = rows.filter((row) => row.name === PLANNED);
  const of = (pick) => median(own.map(pick));
  const seconds = own.map((row) => row.seconds);
  const ratios = own.flatMap((row) => {
    const other = base.find(({ round }) => round === row.round);
    return other ? [row.seconds / other.seconds] : [];
  });
  const cpu = own[0].cpu
    ? ['server', 'media', 'database'].map((key) => (of((row) => row.cpu[key]) / count).toFixed(1))
    : ['', '', ''];
  return [
    name,
    of((row) => row.seconds).toFixed(2),
    `${Math.min(...seconds).toFixed(2)}-${Math.max(...seconds).toFixed(2)}`,
    ratios.length === 0 ? '-' : `${median(ratios).toFixed(1)} x`,
    (of((row) => row.gets) / count).toFixed(2),
    of((row) => row.mostGets),
    Math.round(of((row) => row.getBytes) / count / 1000),
    of((row) => row.lists),
    ...cpu,
  ];
}
