import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const BENCH = fileURLToPath(new URL('.', import.meta.url));

/** Installs what bench/package.json names, once. @returns nothing: what could not be installed is not found later */
export function installPeers() {
  if (existsSync(`${BENCH}node_modules`)) return;
  process.stderr.write('installing the peers of this benchmark\n');
  spawnSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: BENCH, stdio: 'inherit' });
}

/** The library that a peer needs, or null when it is not installed. */
export async function loadLibrary(name) {
  try {
    return await import(name);
  } catch (error) {
    if (error.code === 'ERR_MODULE_NOT_FOUND') return null;
    throw error;
  }
}
