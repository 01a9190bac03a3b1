/** A server in a process of its own: `serve.mjs KIND DATABASE_URL`; tells its parent where it listens. */
const SERVERS = {
  sluice: () => import('./serve-sluice.mjs'),
  bare: () => import('./serve-bare.mjs'),
  postgraphile: () => import('./serve-postgraphile.mjs'),
};

const [kind, url] = process.argv.slice(2);
process.on('disconnect', () => process.exit());
const { serve } = await SERVERS[kind]();
process.send({ url: await serve(url) });
