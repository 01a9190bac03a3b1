import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const KEY = `slc_${'b'.repeat(43)}`;
const START_MS = 60_000;

/**
 * Starts dist/main.js with a database and a data folder of its own, as anybody would start it.
 * @param settings environment variables beside those that every benchmark has
 * @param known the data folder of a server that was killed, to go on with
 * @returns query: the data of an operation; observe: what observe.mjs tells; stop; kill, which leaves the data folder
 */
export async function startServer(settings = {}, known = undefined) {
  const dataDir = known ?? (await mkdtemp(join(tmpdir(), 'sluice-bench-')));
  // Started by root, PostgreSQL runs under another account, which has to get through.
  await chmod(dataDir, 0o711);
  const server = spawn(process.execPath, ['--import', path('./observe.mjs'), path('../dist/main.js')], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: {
      PATH: process.env.PATH,
      PORT: '0',
      SLUICE_DATA_DIR: dataDir,
      SLUICE_API_KEY: KEY,
      SLUICE_ALLOW_ADDRESSES: '127.0.0.1/32',
      SLUICE_LOG_LEVEL: 'warn',
      ...settings,
    },
  });
  const exited = once(server, 'exit');
  let errors = '';
  server.stderr.on('data', (chunk) => {
    errors = (errors + chunk).slice(-10_000);
  });
  const stop = async () => {
    server.kill('SIGTERM');
    await exited;
    await rm(dataDir, { recursive: true, force: true });
  };
  const kill = async () => {
    server.kill('SIGKILL');
    await exited;
  };
  try {
    const url = await readUrl(server);
    return {
      pid: server.pid,
      dataDir,
      kill,
      query: (document, variables) => query(url, document, variables),
      observe: (question = 'tell') => ask(server, question),
      stop,
    };
  } catch (error) {
    await stop();
    throw new Error(`the server did not start: ${errors}`, { cause: error });
  }
}

/** The address in the line that the server prints when it is ready. */
async function readUrl(server) {
  let text = '';
  const signal = AbortSignal.timeout(START_MS);
  for await (const [chunk] of on(server.stdout, signal)) {
    text += chunk;
    const [, url] = /^GraphiQL: (\S+)\/graphql$/m.exec(text) ?? [];
    if (url) {
      server.stdout.resume();
      return url;
    }
  }
  throw new Error('it ended');
}

async function* on(stream, signal) {
  for (;;) {
    const data = once(stream, 'data', { signal });
    const end = once(stream, 'end', { signal }).then(() => null);
    const next = await Promise.race([data, end]);
    if (next === null) return;
    yield next;
  }
}

async function ask(server, question) {
  const answer = once(server, 'message');
  server.send(question);
  const [told] = await answer;
  return told;
}

async function query(url, document, variables) {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${KEY}` },
    body: JSON.stringify({ query: document, variables }),
  });
  const { data, errors } = await response.json();
  if (errors) throw new Error(JSON.stringify(errors));
  return data;
}
