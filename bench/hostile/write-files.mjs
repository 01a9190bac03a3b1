import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeHostileFiles } from '../../test/media/support/hostile-imports.ts';

/** Writes the tests' broken files into a folder, over and over until there are so many: FOLDER COUNT. Started with `--import ../plan/typescript.mjs`. */
const [folder = '', count = ''] = process.argv.slice(2);
const files = await makeHostileFiles('http://127.0.0.1:9/video.mp4');
const broken = Object.entries(files).filter(([, { expected }]) => expected !== 'READY');
await mkdir(folder, { recursive: true });
for (let n = 0; n < Number(count); n += 1) {
  const [name, { bytes }] = broken[n % broken.length];
  await writeFile(join(folder, `broken-${String(n).padStart(3, '0')}-${name}`), bytes);
}
