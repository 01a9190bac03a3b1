import * as graphile from './graphile-worker.mjs';
import * as boss from './pg-boss.mjs';
import * as raw from './raw.mjs';
import * as sluice from './sluice.mjs';

/**
 * What is compared, by name. `share`: the part of the jobs that it drains, less for slow ones; `latency`: whether single
 * jobs are timed, too; `package`: what it needs beside the project's own.
 */
export const PEERS = {
  'Sluice, one team': { make: sluice.createPeer, share: 1, latency: true },
  'Sluice, 1,000 teams': { make: (options) => sluice.createPeer({ ...options, teams: 1_000 }), share: 1 },
  'Sluice, woken by another process': {
    make: (options) => sluice.createPeer({ ...options, remote: true }),
    share: 0.25,
    latency: true,
    onlyLatency: true,
  },
  'graphile-worker 0.17.3, batching': {
    make: (options) => graphile.createPeer({ ...options, batching: true }),
    share: 1,
    latency: true,
    package: 'graphile-worker',
  },
  'graphile-worker 0.17.3, defaults': {
    make: (options) => graphile.createPeer({ ...options, batching: false }),
    share: 0.25,
    latency: true,
    package: 'graphile-worker',
  },
  'pg-boss 12.35.0, notify + burst, 100': {
    make: boss.createPeer,
    share: 1,
    latency: true,
    package: 'pg-boss',
  },
  'raw: claim 500, complete 500, LISTEN': { make: raw.createPeer, share: 1, latency: true },
};
