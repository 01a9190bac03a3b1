import { fork } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeClip } from '../../src/demo/clips.ts';
import { MediaProcessError, MediaUndecidedError } from '../../src/media/errors.ts';
import { createMediaPool, type MediaPoolOptions, type RandomAccessReader } from '../../src/media/pool.ts';
import { gone, unaborted, useFolder } from './support/pool.ts';
import { readerOf } from './support/readers.ts';

const inFolder = useFolder();
beforeAll(() => makeClip({ seconds: 2 }, inFolder('clip.mp4')));

const pools: { close(): Promise<void> }[] = [];
afterAll(() => Promise.all(pools.map((pool) => pool.close())));
function start(options: Partial<MediaPoolOptions> = {}) {
  // A child that stands still for a moment, on a busy machine, is no child that does not leave its call.
  const patient = { stopGraceMs: 60_000, log: pino({ level: 'silent' }) };
  const pool = createMediaPool({ size: 1, ...patient, ...options });
  pools.push(pool);
  return pool;
}

/** A reader whose answers come when they are let. */
function heldReader(): RandomAccessReader & { asked: Promise<AbortSignal> } {
  let tell: (signal: AbortSignal) => void = () => {};
  const asked = new Promise<AbortSignal>((resolve) => {
    tell = resolve;
  });
  return {
    size: 1_000_000,
    asked,
    read: (_offset, _length, signal) => {
      tell(signal);
      return new Promise(() => {});
    },
  };
}

/** A child that does one thing when it gets a call, on the socket that the pool gave it. */
async function writeChild(name: string, onCall: string): Promise<string> {
  const path = inFolder(`${name}.mjs`);
  await writeFile(
    path,
    `import { Socket } from 'node:net';
     const socket = new Socket({ fd: 3, readable: true, writable: true });
     const send = (kind, body) => { const head = Buffer.alloc(5); head.writeUInt32BE(body.length); head[4] = kind; socket.write(head); socket.write(body); };
     socket.on('end', () => process.exit());
     socket.on('data', () => { ${onCall} });
     send(0, Buffer.from('{"type":"ready"}'));`,
  );
  return path;
}

describe('a pool', () => {
  it('starts no process before it is asked for something, and keeps the one it has started', async () => {
    const pool = start();
    expect(pool.pids()).toEqual([]);
    await pool.probeFile(inFolder('clip.mp4'), { signal: unaborted() });
    const [pid] = pool.pids();
    await pool.probeFile(inFolder('clip.mp4'), { signal: unaborted() });
    expect(pool.pids()).toEqual([pid]);
  });

  it('never has more processes than its size, and serves every call', async () => {
    const pool = start({ size: 2 });
    const signal = unaborted();
    const calls = Array.from({ length: 20 }, () => pool.probeFile(inFolder('clip.mp4'), { signal }));
    const seen = new Set<number>();
    for (const call of calls) {
      expect(await call).toMatchObject({ width: 640 });
      for (const pid of pool.pids()) seen.add(pid);
    }
    expect(seen.size).toBe(2);
  });

  it('serves calls in the order in which they came', async () => {
    const pool = start();
    const order: number[] = [];
    const calls = [0, 1, 2, 3, 4].map((number) =>
      pool.probeFile(inFolder('clip.mp4'), { signal: unaborted() }).then(() => order.push(number)),
    );
    await Promise.all(calls);
    expect(order).toEqual([0, 1, 2, 3, 4]);
  });

  it('replaces a process after so many calls', async () => {
    const pool = start({ maxCallsPerChild: 2 });
    const pids: (number | undefined)[] = [];
    for (let call = 0; call < 4; call++) {
      const facts = pool.probeFile(inFolder('clip.mp4'), { signal: unaborted() });
      await expect.poll(() => pool.pids().length).toBe(1);
      pids.push(pool.pids()[0]);
      await facts;
    }
    expect(new Set(pids).size).toBe(2);
    expect(await gone(pids[0] ?? 0)).toBe(true);
  });

  it('ends its processes when it is closed, and refuses what still runs and what comes later', async () => {
    const pool = start();
    const reader = heldReader();
    const running = pool.probeRemote(reader, { signal: unaborted() });
    const waiting = pool.probeFile(inFolder('clip.mp4'), { signal: unaborted() });
    const refused = Promise.allSettled([running, waiting]);
    await reader.asked;
    const [pid] = pool.pids();
    await pool.close();
    for (const outcome of await refused) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { message: 'The media pool is closed.' } });
    }
    expect(await gone(pid ?? 0)).toBe(true);
    await expect(pool.probeFile(inFolder('clip.mp4'), { signal: unaborted() })).rejects.toThrow('closed');
  });
});

describe('a call', () => {
  it('fails as CRASHED when its process is killed, and the next one is served', async () => {
    const pool = start();
    const reader = heldReader();
    const call = pool.probeRemote(reader, { signal: unaborted() });
    const failed = expect(call).rejects.toMatchObject({ name: 'MediaProcessError', reason: 'CRASHED' });
    await reader.asked;
    process.kill(pool.pids()[0] ?? 0, 'SIGKILL');
    await failed;
    expect(await pool.probeFile(inFolder('clip.mp4'), { signal: unaborted() })).toMatchObject({ width: 640 });
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('is not hurt by %s', async (signal) => {
    const pool = start();
    await pool.probeFile(inFolder('clip.mp4'), { signal: unaborted() });
    const [pid] = pool.pids();
    process.kill(pid ?? 0, signal);
    await pool.probeFile(inFolder('clip.mp4'), { signal: unaborted() });
    expect(pool.pids()).toEqual([pid]);
  });

  it('fails as TIMEOUT when its process takes too long', async () => {
    const pool = start({
      childPath: await writeChild('busy', 'for (;;) {}'),
      probeDeadlineMs: 300,
    });
    const call = pool.probeFile(inFolder('clip.mp4'), { signal: unaborted() });
    await expect(call).rejects.toMatchObject({ name: 'MediaProcessError', reason: 'TIMEOUT' });
    await expect.poll(() => pool.pids()).toEqual([]);
  });

  it('may wait for a remote source for longer than its process may take', async () => {
    // What its process does, and its start, take a busy machine a part of that.
    const pool = start({ probeDeadlineMs: 6000 });
    const whole = await readerOf(inFolder('clip.mp4'));
    let reads = 0;
    const slow: RandomAccessReader = {
      size: whole.size,
      async read(offset, length, signal) {
        if (reads++ === 0) await new Promise((resolve) => setTimeout(resolve, 7000));
        return whole.read(offset, length, signal);
      },
    };
    expect(await pool.probeRemote(slow, { signal: unaborted() })).toMatchObject({ width: 640 });
  });

  it('fails as OUT_OF_MEMORY when its process holds too much', async () => {
    // More than it may hold, and less than what the system itself would refuse it before anybody looks.
    const eater =
      'const all = []; setInterval(() => all.length < 18 && all.push(Buffer.alloc(16 * 1024 * 1024, 1)), 10);';
    const pool = start({
      childPath: await writeChild('eater', eater),
      probeMemoryBytes: 200 * 1024 * 1024,
    });
    const call = pool.probeFile(inFolder('clip.mp4'), { signal: unaborted() });
    await expect(call).rejects.toMatchObject({ name: 'MediaProcessError', reason: 'OUT_OF_MEMORY' });
  });

  it.each([
    ['a gigabyte', 'const head = Buffer.alloc(5); head.writeUInt32BE(1 << 30); socket.write(head);'],
    ['no JSON', "send(0, Buffer.from('{]'));"],
    ['no known message', `send(0, Buffer.from('{"type":"obey"}'));`],
    ['absurd facts', `send(0, Buffer.from('{"type":"facts","facts":{"duration":-1}}'));`],
    ['bytes', "send(1, Buffer.from('x'));"],
    ['nothing and ends', 'process.exit(0);'],
    ['nothing and aborts', 'process.abort();'],
  ])('fails as CRASHED when its process sends %s', async (_what, onCall) => {
    const pool = start({ childPath: await writeChild('liar', onCall) });
    const call = pool.probeFile(inFolder('clip.mp4'), { signal: unaborted() });
    await expect(call).rejects.toBeInstanceOf(MediaProcessError);
    await expect(call).rejects.toMatchObject({ reason: 'CRASHED' });
  });

  it('is no fault of its file when no process can be started', async () => {
    const pool = start({ childPath: inFolder('nothing.js') });
    const call = pool.probeFile(inFolder('clip.mp4'), { signal: unaborted() });
    await expect(call).rejects.toMatchObject({
      name: 'Error',
      message: 'A media process could not be started.',
    });
  });

  it('fails with the very error that its reader failed with, and its process serves the next', async () => {
    const pool = start();
    const error = new Error('the source is gone');
    const reader: RandomAccessReader = { size: 1000, read: () => Promise.reject(error) };
    await expect(pool.probeRemote(reader, { signal: unaborted() })).rejects.toBe(error);
    const [pid] = pool.pids();
    expect(await pool.probeFile(inFolder('clip.mp4'), { signal: unaborted() })).toMatchObject({ width: 640 });
    expect(pool.pids()).toEqual([pid]);
  });

  it('is undecided when its share of a remote file is used up', async () => {
    const pool = start();
    const reader = await readerOf(inFolder('clip.mp4'));
    const call = pool.probeRemote(reader, { signal: unaborted(), maxBytes: 100_000 });
    await expect(call).rejects.toBeInstanceOf(MediaUndecidedError);
    expect(reader.bytes()).toBeLessThanOrEqual(100_000);
  });

  it('ends with the reason of its signal, and so does the read under way', async () => {
    const pool = start();
    const reader = heldReader();
    const stop = new AbortController();
    const call = pool.probeRemote(reader, { signal: stop.signal });
    const failed = expect(call).rejects.toBe('enough');
    const reading = await reader.asked;
    stop.abort('enough');
    await failed;
    expect(reading.aborted).toBe(true);
    expect(await pool.probeFile(inFolder('clip.mp4'), { signal: unaborted() })).toMatchObject({ width: 640 });
  });

  it('gives up its place in the queue when it is aborted', async () => {
    const pool = start();
    const reader = heldReader();
    const stop = new AbortController();
    const first = pool.probeRemote(reader, { signal: stop.signal });
    await reader.asked;
    const second = new AbortController();
    const waiting = pool.probeFile(inFolder('clip.mp4'), { signal: second.signal });
    second.abort('not needed');
    await expect(waiting).rejects.toBe('not needed');
    stop.abort('done');
    await expect(first).rejects.toBe('done');
  });
});

describe('calls about remote files', () => {
  it('share a process while they wait for their sources, four at once', async () => {
    const pool = start();
    const readers = Array.from({ length: 5 }, heldReader);
    const stops = readers.map(() => new AbortController());
    const calls = readers.map((reader, at) =>
      pool.probeRemote(reader, { signal: stops[at]?.signal ?? unaborted() }),
    );
    const ended = Promise.allSettled(calls);
    let isFifthAsked = false;
    void readers[4]?.asked.then(() => {
      isFifthAsked = true;
    });
    await Promise.all(readers.slice(0, 4).map(({ asked }) => asked));
    expect(pool.pids()).toHaveLength(1);
    expect(isFifthAsked).toBe(false);
    stops[0]?.abort('enough');
    await readers[4]?.asked;
    for (const stop of stops) stop.abort('enough');
    for (const outcome of await ended) expect(outcome).toMatchObject({ reason: 'enough' });
  });

  it('that lose their process by another one are served all the same; that one alone fails', async () => {
    const pool = start();
    const whole = await readerOf(inFolder('clip.mp4'));
    const held = heldReader();
    let reads = 0;
    const innocent: RandomAccessReader = {
      size: whole.size,
      read: (...part) => (reads++ === 0 ? held.read(...part) : whole.read(...part)),
    };
    const killer: RandomAccessReader = {
      size: whole.size,
      read() {
        process.kill(pool.pids()[0] ?? 0, 'SIGKILL');
        return new Promise(() => {});
      },
    };
    const served = pool.probeRemote(innocent, { signal: unaborted() });
    await held.asked;
    const failed = pool.probeRemote(killer, { signal: unaborted() });
    await expect(failed).rejects.toMatchObject({ name: 'MediaProcessError', reason: 'CRASHED' });
    expect(await served).toMatchObject({ width: 640 });
  });

  it('leave a process that has had its calls, and do not keep the next one from being served', async () => {
    const pool = start({ maxCallsPerChild: 1 });
    const reader = heldReader();
    const stop = new AbortController();
    const call = pool.probeRemote(reader, { signal: stop.signal });
    await reader.asked;
    expect(await pool.probeFile(inFolder('clip.mp4'), { signal: unaborted() })).toMatchObject({ width: 640 });
    stop.abort('enough');
    await expect(call).rejects.toBe('enough');
    await expect.poll(() => pool.pids()).toEqual([]);
  });
});

describe('a child', () => {
  it.skipIf(process.platform !== 'linux')(
    'knows nothing of its parent: no environment, another folder',
    async () => {
      const { readFile, readlink } = await import('node:fs/promises');
      const pool = start();
      await pool.probeFile(inFolder('clip.mp4'), { signal: unaborted() });
      const [pid] = pool.pids();
      expect(await readFile(`/proc/${pid}/environ`, 'latin1')).toBe('');
      expect(await readlink(`/proc/${pid}/cwd`)).toBe('/');
    },
  );

  it('is gone soon after its parent was killed, in the middle of a call or idle', async () => {
    const parent = fork(fileURLToPath(new URL('./support/doomed-parent.mjs', import.meta.url)), [
      inFolder('clip.mp4'),
    ]);
    const [pids] = (await once(parent, 'message')) as [number[]];
    expect(pids.length).toBe(2);
    parent.kill('SIGKILL');
    for (const pid of pids) expect(await gone(pid)).toBe(true);
  });
});
