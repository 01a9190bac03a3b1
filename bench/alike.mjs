import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { createDatabase } from '../dist/db/client.js';
import { migrate } from '../dist/db/migrate.js';
import { COPIES, makeAlikeClips } from './alike/clips.mjs';
import { fingerprintOf } from './alike/fingerprint.mjs';
import { createLibrary } from './alike/library.mjs';
import { formatTable } from './table.mjs';
import { startDatabase } from './tasks/database.mjs';

const SIMILARITY = 0.8;

/**
 * Asks for each of many clips which others look like it, and prints how many answers are right (precision) and how many of the
 * right ones are there (recall): copies of each clip, compressed, made smaller and cut, among others that have none.
 * @param args --clips N (30), --seconds S (8), --folder PATH (of the encoded clips, kept)
 */
export async function run(args) {
  const { values } = parseArgs({
    args,
    options: { clips: { type: 'string' }, seconds: { type: 'string' }, folder: { type: 'string' } },
  });
  const folder = values.folder ?? (await mkdtemp(join(tmpdir(), 'sluice-bench-alike-')));
  await mkdir(folder, { recursive: true });
  const given = { folder, count: Number(values.clips ?? 30), seconds: Number(values.seconds ?? 8) };
  const server = await startDatabase();
  try {
    const clips = await makeAlikeClips(given, (text) => process.stderr.write(`${text}\n`));
    const log = pino({ level: 'warn' });
    const url = await server.create();
    await migrate({ url, log });
    const client = createDatabase({ url, log, applicationName: 'bench', max: 4 });
    try {
      const library = await createLibrary(client, clips.length);
      for (const [place, { path }] of clips.entries())
        await library.store(place, await fingerprintOf(path, folder));
      process.stdout.write(`${formatTable(await judge(library, clips))}\n`);
    } finally {
      await client.close();
    }
  } finally {
    await server.stop();
    if (values.folder === undefined) await rm(folder, { recursive: true, force: true });
  }
}

/** Each clip is asked for, copies and those without any, too. */
async function judge(library, clips) {
  const counts = {
    asked: 0,
    right: 0,
    wrong: 0,
    missing: Object.fromEntries(COPIES.map((name) => [name, 0])),
  };
  let nearest = 0;
  let farthest = 1;
  let longest = 0;
  for (const [place, clip] of clips.entries()) {
    const started = performance.now();
    const all = await library.similarTo(place, { limit: 50, minSimilarity: 0 });
    longest = Math.max(longest, performance.now() - started);
    const similarities = new Map(all.map((one) => [one.place, one.similarity]));
    for (const [otherPlace, other] of clips.entries()) {
      if (otherPlace === place) continue;
      const similarity = similarities.get(otherPlace) ?? 0;
      const isSame = other.number === clip.number;
      if (isSame) farthest = Math.min(farthest, similarity);
      else nearest = Math.max(nearest, similarity);
      if (similarity >= SIMILARITY) counts[isSame ? 'right' : 'wrong'] += 1;
      else if (isSame && clip.copy === 'original') counts.missing[other.copy] += 1;
      if (isSame) counts.asked += 1;
    }
  }
  const { asked, right, wrong, missing } = counts;
  return [
    [
      'clips',
      'precision',
      'recall',
      'least of a copy',
      'most of another',
      'ms at most',
      ...COPIES.map((name) => `missed ${name}`),
    ],
    [
      clips.length,
      (right / Math.max(1, right + wrong)).toFixed(3),
      (right / asked).toFixed(3),
      farthest.toFixed(3),
      nearest.toFixed(3),
      longest.toFixed(0),
      ...COPIES.map((name) => missing[name]),
    ],
  ];
}
