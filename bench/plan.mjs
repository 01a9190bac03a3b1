import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { measureClips } from './plan/looks.mjs';
import { measureMany } from './plan/many.mjs';

/**
 * Plans imports from a bucket that is 20 ms away: real clips beside what a script would do with ffprobe, or a bucket of
 * very many objects; prints the tables.
 * @param args --rounds N (5), --clips N (500), --latency MS (20), --folder PATH (of the encoded clips, kept), --objects N
 */
export async function run(args) {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string' },
      clips: { type: 'string' },
      latency: { type: 'string' },
      folder: { type: 'string' },
      objects: { type: 'string' },
      only: { type: 'string' },
    },
  });
  const folder = values.folder ?? join(tmpdir(), `sluice-bench-clips-${process.pid}`);
  const given = { folder, latencyMs: Number(values.latency ?? 20), rounds: Number(values.rounds ?? 5) };
  try {
    if (values.objects === undefined)
      await measureClips({ ...given, count: Number(values.clips ?? 500), only: values.only ?? '' });
    else await measureMany({ ...given, count: Number(values.objects) });
  } finally {
    if (values.folder === undefined) await rm(folder, { recursive: true, force: true });
  }
}
