// A process with a pool of two children, one idle and one in the middle of a call: it tells their ids and waits to be killed.
import { pino } from 'pino';
import { createMediaPool } from '../../../dist/media/pool.js';

const pool = createMediaPool({ size: 2, log: pino({ level: 'silent' }) });
const { signal } = new AbortController();
const held = () =>
  new Promise((asked) => {
    pool.probeRemote({ size: 1_000_000, read: () => new Promise(() => asked()) }, { signal }).catch(() => {});
  });
const first = held();
const second = pool.probeFile(process.argv[2] ?? '', { signal });
await Promise.all([first, second]);
process.send?.(pool.pids());
