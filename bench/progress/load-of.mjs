import { setTimeout as sleep } from 'node:timers/promises';
import { cpuOf, memoryOf } from './processes.mjs';

const SAMPLE_MS = 50;

/**
 * What a server of ours goes through while something is done.
 * @returns milliseconds of CPU and of the delay of its event loop; bytes before it, at most, and after it when garbage was collected
 */
export async function loadOf(server, work) {
  const begin = await server.ask({ begin: true });
  let peak = begin.rss;
  let isOver = false;
  const sampling = (async () => {
    for (; !isOver; await sleep(SAMPLE_MS)) peak = Math.max(peak, memoryOf(server.pid));
  })();
  const cpu = cpuOf(server.pid);
  try {
    const result = await work();
    const used = cpuOf(server.pid) - cpu;
    const { statements, loop, own } = await server.ask({ calm: true });
    isOver = true;
    await sampling;
    const { rss } = await server.ask();
    return {
      result,
      cpu: used,
      statements: statements - begin.statements,
      loop,
      own,
      rss: { before: begin.rss, peak, after: rss },
    };
  } finally {
    isOver = true;
    await sampling;
  }
}
