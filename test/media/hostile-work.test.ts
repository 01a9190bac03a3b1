import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeClip } from '../../src/demo/clips.ts';
import { ANALYZERS } from '../../src/media/analysis/analyzers.ts';
import type { Product } from '../../src/media/products.ts';
import { createWorkPool } from '../../src/media/work-pool.ts';
import { type HostileFile, hostileFiles } from './support/hostile-files.ts';
import { unaborted, useFolder } from './support/pool.ts';

// The names of a record's own fields are what its type says.
const PRODUCTS = ['STREAM', ...Object.keys(ANALYZERS)] as Product[];

const inFolder = useFolder();
const deaths: string[] = [];
const pool = createWorkPool({
  size: 2,
  log: pino({ level: 'silent' }),
  // Far less than children have in earnest: what lies about sizes would pass it.
  memoryBytes: 768 * 1024 * 1024,
  maxCallsPerChild: 1000,
  onDeath: (reason) => deaths.push(reason),
});
afterAll(() => pool.close());

let files: readonly HostileFile[];
beforeAll(async () => {
  await mkdir(inFolder('clips'));
  await makeClip({ seconds: 2 }, inFolder('clips/sound.mp4'));
  files = hostileFiles(await readFile(inFolder('clips/sound.mp4')), 12);
});

/** How each product of a file ends: `made`, or the code of its error. */
async function endsOf(path: string): Promise<Partial<Record<Product, string>>> {
  const folder = await mkdtemp(inFolder('work-'));
  const ends: Partial<Record<Product, string>> = {};
  await pool.work(
    {
      path,
      folder,
      products: PRODUCTS,
      settings: { pictureFormat: 'jpeg', ladder: [] },
      size: 1_000_000,
      // Longer than any of the files claims to be; nobody has asked the probe.
      duration: 1000,
      signal: unaborted(),
    },
    {
      onProgress: () => {},
      onOutcome: (outcome) => {
        ends[outcome.product] = 'error' in outcome ? outcome.error.code : 'made';
      },
    },
  );
  await rm(folder, { recursive: true });
  return ends;
}

const ALL_MADE = Object.fromEntries(PRODUCTS.map((product) => [product, 'made']));

it('everything is made of a sound file', async () => {
  expect(await endsOf(inFolder('clips/sound.mp4'))).toEqual(ALL_MADE);
});

it('a broken file is refused, or something is made of it; it kills no process, and the next file is served', async () => {
  const before = process.memoryUsage.rss();
  const pids = pool.pids();
  for (const { name, bytes } of files) {
    const path = join(inFolder('clips'), 'broken.mp4');
    await writeFile(path, bytes);
    const ends = await endsOf(path);
    const odd = Object.entries(ends).filter(
      ([, end]) => !['made', 'VIDEO_FILE_BROKEN', 'UNSUPPORTED_MEDIA_TYPE'].includes(end),
    );
    expect({ name, odd, count: Object.keys(ends).length }).toEqual({ name, odd: [], count: PRODUCTS.length });
  }
  expect(deaths).toEqual([]);
  expect(pool.pids()).toEqual(pids);
  expect(await endsOf(inFolder('clips/sound.mp4'))).toEqual(ALL_MADE);
  expect(process.memoryUsage.rss() - before).toBeLessThan(100 * 1024 * 1024);
});
