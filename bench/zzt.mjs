import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import { startDatabase } from './tasks/database.mjs';
import { pagesOf } from './tasks/pages.mjs';
import { startLoad } from './tasks/peers.mjs';
import { seed } from './tasks/seed.mjs';
rmSync('/tmp/me/prof', { recursive: true, force: true }); mkdirSync('/tmp/me/prof', { recursive: true });
const kind = process.argv[2] ?? 'sluice'; const conns = Number(process.argv[3] ?? 10); const prof = process.argv[4] === 'prof'; const page = process.argv[5] ?? 'page 1';
const database = await startDatabase();
const url = await database.create(); const seeded = await seed(url, 20000);
const child = fork('bench/tasks/serve.mjs', [kind, url], { execArgv: prof ? ['--cpu-prof', '--cpu-prof-dir=/tmp/me/prof'] : [], env: { PATH: process.env.PATH, NODE_ENV: 'production', GRAPHILE_ENV: 'production' }, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
const [{ url: at }] = await once(child, 'message');
const cpu = async () => { const a = once(child, 'message'); child.send('cpu'); return (await a)[0].cpu; };
const load = startLoad();
const body = JSON.stringify({ query: pagesOf(seeded)[page].ours.query, variables: pagesOf(seeded)[page].ours.variables });
await load.run({ url: at, body, connections: 10, seconds: 4 });
for (const c of (conns ? [conns] : [1, 10, 50])) for (let i = 0; i < 3; i++) {
  const b = await cpu(); const r = await load.run({ url: at, body, connections: c, seconds: 3 }); const e = await cpu();
  console.log(kind, c, 'rate', r.rate.toFixed(0), 'cpu', ((e - b) / r.count * 1e6).toFixed(0), 'p95', r.p95.toFixed(1));
}
load.stop(); const x = once(child, 'exit'); child.disconnect(); await x; await database.stop();
