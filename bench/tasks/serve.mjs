import { cpuOfSelf } from '../jobs/support.mjs';

/**
 * A server in a process of its own: `serve.mjs KIND DATABASE_URL`; tells its parent where it listens, and, when it is asked,
 * the seconds of CPU that it has used.
 */
const SERVERS = {
  sluice: () => import('./serve-sluice.mjs'),
  bare: () => import('./serve-bare.mjs'),
  postgraphile: () => import('./serve-postgraphile.mjs'),
};

const [kind, url] = process.argv.slice(2);
process.on('disconnect', () => process.exit());
process.on('message', (question) => {
  if (question === 'cpu') process.send({ cpu: cpuOfSelf() });
});
const { serve } = await SERVERS[kind]();
process.send({ url: await serve(url) });
