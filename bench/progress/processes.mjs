import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { KEY } from './database.mjs';

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));

/** Asks a process for something, or waits for what it says by itself. */
async function answer(child, question) {
  const ended = new AbortController();
  const end = () => ended.abort();
  child.once('exit', end);
  const said = once(child, 'message', { signal: ended.signal });
  if (question !== undefined) child.send(question);
  try {
    return (await said)[0];
  } finally {
    child.off('exit', end);
  }
}

const handle = (child, url) => ({
  url,
  pid: child.pid,
  ask: (question = {}) => answer(child, question),
  tell: (message) => child.send(message),
  stop: async () => {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  },
});

/** One of the peers, as its file says. */
export async function startPeer(kind, ...args) {
  const child = fork(path('./peers.mjs'), [kind, ...args]);
  return handle(child, (await answer(child)).url);
}

/** Our transport alone. */
export async function startFanout() {
  const child = fork(path('./fanout-server.mjs'));
  return handle(child, (await answer(child)).url);
}

/** Our API as a process of its own, as anybody would start it. */
export const startApi = (database) => startSluice(database, { role: 'api' });

/**
 * Sluice as a process of its own, as anybody would start it.
 * @param preload further modules of this folder that are loaded into it; settings: environment variables
 */
export async function startSluice({ url, dataDir }, { role, preload = [], settings = {} }) {
  const child = spawn(
    process.execPath,
    [
      ...['./observe.mjs', ...preload].flatMap((file) => ['--import', path(file)]),
      ...[path('../../dist/main.js'), role],
    ],
    {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: {
        PATH: process.env.PATH,
        PORT: '0',
        DATABASE_URL: url,
        SLUICE_DATA_DIR: dataDir,
        SLUICE_SECRET_KEY: Buffer.alloc(32, 7).toString('base64'),
        SLUICE_PRODUCTION: '0',
        // All subscribers of a run come with one key.
        SLUICE_SOCKETS_PER_KEY: '100000',
        SLUICE_LOG_LEVEL: 'warn',
        ...settings,
      },
    },
  );
  let text = '';
  return await new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`Sluice ended with ${code}: ${text}`)));
    // Read to the end: a server whose output nobody takes would fail.
    child.stdout.on('data', (chunk) => {
      text = (text + chunk).slice(-10_000);
      const [, found] = /^GraphiQL: (\S+)\/graphql/m.exec(text) ?? [];
      if (found) resolve(handle(child, found));
    });
    // A worker has no address, and says in its log alone that it is ready.
    child.stderr.on('data', (chunk) => {
      if (role !== 'worker' || settings.SLUICE_LOG_LEVEL !== 'info') process.stderr.write(chunk);
      else if (String(chunk).includes('the worker is ready')) resolve(handle(child, null));
    });
  });
}

/** A worker beside it. */
export const startWorker = (database) =>
  startSluice(database, { role: 'worker', settings: { SLUICE_LOG_LEVEL: 'info' } });

/** A process of watchers.mjs; ready when all have subscribed. @param watches kind and variables of each, and its name */
export async function startWatchers({ url, watches }) {
  const child = fork(path('./watchers.mjs'), [url, KEY, JSON.stringify(watches)]);
  const said = await answer(child);
  if (!said.ready) throw new Error(said.error);
  return handle(child, url);
}

/** So many subscribers in a process of their own; ready when all have subscribed. */
export async function startClients({ url, payload, count }) {
  const child = fork(path('./clients.mjs'), [url, KEY, JSON.stringify(payload), String(count)]);
  const said = await answer(child);
  if (!said.ready) throw new Error(said.error);
  return handle(child, url);
}

const TICK_MS = 10;

/** Milliseconds of CPU that a process has used by itself. */
export function cpuOf(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ');
  return (Number(stat[11]) + Number(stat[12])) * TICK_MS;
}

/** Bytes of memory that a process has now. */
export const memoryOf = (pid) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;
