import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { makeClips } from '../dist/demo/clips.js';
import { watchProcesses } from './hostile/watch.mjs';
import { copyMarked } from './media/copies.mjs';
import { createFolder, failedStages, importFolder } from './media/folder-import.mjs';
import { startServer } from './server.mjs';
import { formatTable, median } from './table.mjs';

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const MIB = 1024 * 1024;

/**
 * Full ingestion of good clips alone, and of the same with broken files among them; prints what the broken ones cost.
 * @param args --rounds N (3), --good N (200), --broken N (40)
 */
export async function run(args) {
  const { values } = parseArgs({
    args,
    options: { rounds: { type: 'string' }, good: { type: 'string' }, broken: { type: 'string' } },
  });
  const [rounds, good, broken] = [values.rounds ?? 3, values.good ?? 200, values.broken ?? 40].map(Number);
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-hostile-'));
  try {
    await fill(folder, { good, broken });
    await measure(folder, { rounds, good, broken });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function fill(folder, { good, broken }) {
  const clips = await makeClips(
    [1, 2, 3, 4].map((seed) => ({ name: `base-${seed}`, seed })),
    join(folder, 'base'),
  );
  for (const name of ['clean', 'mixed']) {
    await mkdir(join(folder, name));
    await copyMarked([...clips.values()], good, join(folder, name));
  }
  const { execPath } = process;
  const script = ['--import', path('./plan/typescript.mjs'), path('./hostile/write-files.mjs')];
  await promisify(execFile)(execPath, [...script, join(folder, 'mixed'), String(broken)]);
}

async function measure(folder, { rounds, good, broken }) {
  const server = await startServer({ SLUICE_ALLOW_FOLDERS: folder, SLUICE_RATE_CALLS_PER_MINUTE: '0' });
  const rows = [];
  try {
    const integrations = {};
    for (const name of ['clean', 'mixed'])
      integrations[name] = await createFolder(server, join(folder, name));
    // A first one, not measured.
    await importFolder(server, { integrationId: integrations.clean, input: { fullIngestion: true } });
    for (let round = 0; round < rounds; round += 1)
      for (const name of round % 2 === 0 ? ['clean', 'mixed'] : ['mixed', 'clean']) {
        const row = { name, ...(await importOnce(server, integrations[name])) };
        assertOutcome(row, name === 'clean' ? { good, broken: 0 } : { good, broken });
        rows.push(row);
        process.stderr.write(`${round + 1}/${rounds} ${name}: ${row.seconds.toFixed(2)} s\n`);
      }
    if ((await readdir(`/proc/${server.pid}`).catch(() => [])).length === 0)
      throw new Error('the server is gone');
  } finally {
    await server.stop();
  }
  print(rows, { good, broken });
}

async function importOnce(server, integrationId) {
  const stop = watchProcesses(server.pid);
  const { id, counts, seconds } = await importFolder(server, {
    integrationId,
    input: { fullIngestion: true },
  });
  const memory = await stop();
  const failed = await failedStages(server, id);
  return { seconds, counts, failed, ...memory };
}

function assertOutcome({ counts, failed }, { good, broken }) {
  const bad = counts.rejected + counts.failed;
  if (counts.ready !== good || bad !== broken)
    throw new Error(`it ended otherwise: ${JSON.stringify(counts)}`);
  const ofGood = failed.filter((line) => !line.startsWith('broken-'));
  if (ofGood.length > 0) throw new Error(`stages of good files failed:\n${ofGood.join('\n')}`);
}

function print(rows, { good, broken }) {
  const of = (name, pick) => median(rows.filter((row) => row.name === name).map(pick));
  const most = (name, pick) => Math.max(...rows.filter((row) => row.name === name).map(pick));
  const clean = of('clean', ({ seconds }) => seconds);
  const lines = ['clean', 'mixed'].map((name) => {
    const seconds = of(name, (row) => row.seconds);
    return [
      name === 'clean' ? `${good} good` : `${good} good, ${broken} broken`,
      seconds.toFixed(2),
      (good / seconds).toFixed(2),
      (clean / seconds).toFixed(2),
      (most(name, ({ server }) => server) / MIB).toFixed(0),
      (most(name, ({ child }) => child) / MIB).toFixed(0),
      most(name, ({ children }) => children),
    ];
  });
  const head = ['', 'seconds', 'good/s', 'x clean', 'server MiB', 'child MiB', 'children'];
  process.stdout.write(`\nFull ingestion; the same server all along\n\n${formatTable([head, ...lines])}\n`);
}
