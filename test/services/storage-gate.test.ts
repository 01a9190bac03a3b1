import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WaitError } from '../../src/jobs/errors.ts';
import { createStorageGate, heldBack } from '../../src/jobs/handlers/storage-gate.ts';
import { count, deferred, enqueueCounts, openQueue, type Queue, testWorker } from '../jobs/support.ts';
import { waitFor } from '../support/wait.ts';

const signal = new AbortController().signal;
const full = () => new WaitError({ seconds: 1000, reason: 'STORAGE' });

let queue: Queue;

beforeEach(async () => {
  queue = await openQueue();
});

afterEach(async () => {
  await queue.close();
});

test('while the storage is full one task looks at a time, after each pause; when there is room all go on', async () => {
  const SECONDS = 0.4;
  const PLACES = 4;
  const gate = createStorageGate({ seconds: SECONDS });
  const looks: number[] = [];
  let isFull = true;
  const handler = heldBack(
    {
      definition: count,
      async run({ subjectId }) {
        if (isFull) {
          looks.push(performance.now());
          throw full();
        }
        gate.stored(subjectId, 1);
      },
    },
    gate,
  );
  await enqueueCounts(queue.db, 40);
  // A claim that is lost, and made again, would count.
  const worker = testWorker(queue, [handler as never], { concurrency: { count: PLACES }, leaseSeconds: 60 });
  try {
    worker.start();
    await waitFor(() => looks.length >= PLACES + 4, { what: 'some looks' });
    // Those that ran when it became full found out together; from then on there is a pause before each.
    const pauses = looks.slice(PLACES).map((at, index) => at - (looks[PLACES + index - 1] ?? 0));
    expect(Math.min(...pauses)).toBeGreaterThan(SECONDS * 1000 - 20);
    const claims = (await queue.rows()).reduce((sum, row) => sum + row.claims, 0);
    expect(claims).toBeLessThanOrEqual(looks.length + 1 + PLACES);
    expect((await queue.rows()).map(({ failures }) => failures)).toEqual(Array(40).fill(0));
    isFull = false;
    await waitFor(async () => (await queue.rows()).length === 0, { what: 'the rest to go on' });
  } finally {
    await worker.stop();
  }
});

test('whoever waits gives its job back when the worker stops, before the time that running jobs get', async () => {
  const gate = createStorageGate({ seconds: 1000 });
  await gate.run(randomUUID(), signal, () => Promise.reject(full())).catch(() => {});
  const handler = heldBack({ definition: count, run: async () => {} }, gate);
  await enqueueCounts(queue.db, 5);
  const worker = testWorker(queue, [handler as never], { concurrency: { count: 2 }, graceSeconds: 600 });
  worker.start();
  await waitFor(async () => (await queue.rows()).filter(({ owner }) => owner !== null).length === 2);
  gate.stop();
  await worker.stop();
  const left = await queue.rows();
  expect(left.map(({ owner, failures }) => [owner, failures])).toEqual(Array(5).fill([null, 0]));
});

test('one that ends without having needed room lets the next look at once', async () => {
  const gate = createStorageGate({ seconds: 0.2 });
  await expect(gate.run('a', signal, () => Promise.reject(full()))).rejects.toMatchObject({ seconds: 0.2 });
  const ended: string[] = [];
  const slow = deferred();
  const first = gate.run('b', signal, async () => {
    ended.push('b');
    await slow.promise;
  });
  await waitFor(() => ended.length === 1);
  const others = ['c', 'd', 'e'].map((name) => gate.run(name, signal, async () => void ended.push(name)));
  slow.resolve();
  await Promise.all([first, ...others]);
  expect(ended).toEqual(['b', 'c', 'd', 'e']);
});

test('one that looks and neither stores anything nor ends keeps the others for one pause only', async () => {
  const gate = createStorageGate({ seconds: 0.2 });
  await gate.run('a', signal, () => Promise.reject(full())).catch(() => {});
  const never = deferred();
  const stuck = gate.run('b', signal, () => never.promise);
  await gate.run('c', signal, async () => gate.stored('c', 64 * 1024 * 1024));
  await gate.run('d', signal, async () => {});
  never.resolve();
  await stuck;
});

test('a task that is aborted waits no longer', async () => {
  const gate = createStorageGate({ seconds: 1000 });
  await gate.run('a', signal, () => Promise.reject(full())).catch(() => {});
  const controller = new AbortController();
  const waiting = gate.run('b', controller.signal, async () => {});
  controller.abort(new Error('over'));
  await expect(waiting).rejects.toThrow('over');
});
