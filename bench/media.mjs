import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { installPeers } from './libraries.mjs';

/** The tables by name. */
const TABLES = {
  copy: async (options) => (await import('./media/copy.mjs')).measureCopy(options),
};

/**
 * What is made of stored files, beside what others make of the same files; prints the tables.
 * @param args --table NAME (all), --rounds N (5), --seconds N,N (60,600) of video, --folder PATH (of the encoded files, kept, and of what is made)
 */
export async function run(args) {
  const text = { type: 'string' };
  const { values } = parseArgs({ args, options: { table: text, rounds: text, seconds: text, folder: text } });
  installPeers();
  const folder = values.folder ?? (await mkdtemp(join(tmpdir(), 'sluice-bench-media-')));
  const options = {
    folder,
    rounds: Number(values.rounds ?? 5),
    lengths: (values.seconds ?? '60,600').split(',').map(Number),
  };
  try {
    for (const [name, measure] of Object.entries(TABLES))
      if (values.table === undefined || values.table === name) await measure(options);
  } finally {
    if (values.folder === undefined) await rm(folder, { recursive: true, force: true });
  }
}
