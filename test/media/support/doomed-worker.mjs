// A process with a work pool whose child is in the middle of a call: it tells the child's id and waits to be killed.
import { pino } from 'pino';
import { createWorkPool } from '../../../dist/media/work-pool.js';

const [, , childPath, folder] = process.argv;
const pool = createWorkPool({ size: 1, log: pino({ level: 'silent' }), childPath });
const { signal } = new AbortController();
const settings = { pictureFormat: 'jpeg', ladder: [] };
const work = { path: '/video.mp4', folder, products: ['SCENES'], settings, size: 1000, duration: 2, signal };
const onProgress = () => process.send?.(pool.pids());
pool.work(work, { onProgress, onOutcome: () => {} }).catch(() => {});
