import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { afterAll, describe, expect, it } from 'vitest';
import { MediaNoRoomError } from '../../src/media/errors.ts';
import type { Product, ProductOutcome, WorkListener } from '../../src/media/products.ts';
import { createWorkPool, type WorkPoolOptions } from '../../src/media/work-pool.ts';
import { waitFor } from '../support/wait.ts';
import { gone, unaborted, useFolder } from './support/pool.ts';
import { writeScriptedChild } from './support/scripted-child.ts';

const inFolder = useFolder();
const pools: { close(): Promise<void> }[] = [];
afterAll(() => Promise.all(pools.map((pool) => pool.close())));

/** A pool whose children run a script. */
async function start(onCall: string, options: Partial<WorkPoolOptions> = {}) {
  const childPath = await writeScriptedChild(inFolder(`child-${pools.length}.mjs`), onCall);
  const pool = createWorkPool({ size: 2, log: pino({ level: 'silent' }), childPath, ...options });
  pools.push(pool);
  return pool;
}

const newFolder = () => mkdtemp(inFolder('work-'));

interface Told extends WorkListener {
  readonly outcomes: ProductOutcome[];
  readonly progress: [Product, number][];
}

function listen(): Told {
  const outcomes: ProductOutcome[] = [];
  const progress: [Product, number][] = [];
  return {
    outcomes,
    progress,
    onOutcome: (outcome) => void outcomes.push(outcome),
    onProgress: (product, fraction) => void progress.push([product, fraction]),
  };
}

interface Asked {
  readonly products?: readonly Product[];
  readonly folder?: string;
  readonly path?: string;
  readonly signal?: AbortSignal;
}

async function workOf({ products = ['SCENES', 'QUALITY'], folder, path = '/video.mp4', signal }: Asked = {}) {
  return {
    path,
    folder: folder ?? (await newFolder()),
    products,
    settings: { pictureFormat: 'jpeg', ladder: [] } as const,
    signal: signal ?? unaborted(),
    size: 1000,
    duration: 2,
  };
}

/** Outcomes as `PRODUCT: code of its error`, or `made`. */
const endsOf = ({ outcomes }: Told) =>
  Object.fromEntries(
    outcomes.map((outcome) => [outcome.product, 'error' in outcome ? outcome.error.code : 'made']),
  );

const MIB = 1024 * 1024;

describe('work', () => {
  it('makes the stream by one call, and all other products by another', async () => {
    const pool = await start(`fs.writeFileSync(join(folder, products.join('+')), ''); makeAll();`);
    const folder = await newFolder();
    const told = listen();
    const products = ['SCENES', 'STREAM', 'THUMBNAILS', 'QUALITY'] as const;
    await pool.work(await workOf({ products, folder }), told);
    expect(endsOf(told)).toEqual({ SCENES: 'made', STREAM: 'made', THUMBNAILS: 'made', QUALITY: 'made' });
    expect(await readdir(folder)).toEqual(
      expect.arrayContaining(['STREAM', 'SCENES+THUMBNAILS+QUALITY', 'stream', 'scenes', 'pictures']),
    );
  });

  it('starts no process before there is some, and none at all for nothing', async () => {
    const pool = await start('makeAll();');
    await pool.work(await workOf({ products: [] }), listen());
    expect(pool.pids()).toEqual([]);
  });

  it('of one file at a time is all that a process has, and there are no more of them than the size says', async () => {
    const pool = await start(
      `fs.writeFileSync(order.path + process.pid, '', { flag: 'wx' });
       setTimeout(() => { fs.rmSync(order.path + process.pid); makeAll(); }, 30);`,
    );
    const seen = new Set<number>();
    const works = Array.from({ length: 8 }, async () => {
      const told = listen();
      await pool.work(await workOf({ path: inFolder('lock-') }), told);
      for (const pid of pool.pids()) seen.add(pid);
      return endsOf(told);
    });
    for (const ends of await Promise.all(works)) expect(ends).toEqual({ SCENES: 'made', QUALITY: 'made' });
    expect(seen.size).toBe(2);
  });

  it('tells of progress from 0 to 1 and never back, whatever a process says', async () => {
    const pool = await start(
      `for (const fraction of [0.2, -3, 0.1, 0.2, 0.5, 7, 9]) send({ type: 'progress', product: 'SCENES', fraction });
       make('SCENES');
       send({ type: 'progress', product: 'SCENES', fraction: 1 });
       make('QUALITY');
       done();`,
    );
    const told = listen();
    await pool.work(await workOf(), told);
    expect(told.progress).toEqual([
      ['SCENES', 0.2],
      ['SCENES', 0.5],
      ['SCENES', 1],
    ]);
    expect(endsOf(told)).toEqual({ SCENES: 'made', QUALITY: 'made' });
  });

  it('hands on verdicts about the file: of one product, or of all that are open', async () => {
    const error = `{ code: 'VIDEO_FILE_BROKEN', message: 'It is broken.' }`;
    const pool = await start(
      `if (products.includes('STREAM')) return send({ type: 'rejected', ...${error} });
       make('QUALITY');
       makeFiles('SCENES');
       send({ type: 'refused', outcome: { product: 'SCENES', error: ${error} } });
       done();`,
    );
    const told = listen();
    const folder = await newFolder();
    await pool.work(await workOf({ products: ['STREAM', 'SCENES', 'QUALITY'], folder }), told);
    expect(endsOf(told)).toEqual({
      STREAM: 'VIDEO_FILE_BROKEN',
      SCENES: 'VIDEO_FILE_BROKEN',
      QUALITY: 'made',
    });
    expect(told.outcomes).toContainEqual({
      product: 'STREAM',
      error: { code: 'VIDEO_FILE_BROKEN', message: 'It is broken.' },
    });
    expect(await readdir(folder)).toEqual([]);
  });
});

/** Whatever a process does as soon as it has to make scenes; it makes the rest as it should. */
const DEATHS: readonly (readonly [string, string])[] = [
  ['dies of a segmentation fault', `process.kill(process.pid, 'SIGSEGV');`],
  ['ends without a word', 'process.exit(0);'],
  ['throws', `throw new Error('unexpected');`],
  ['sends what is no JSON', `raw(0, Buffer.from('{]'));`],
  ['sends an unknown message', `send({ type: 'obey' });`],
  ['sends bytes', `raw(1, Buffer.from('x'));`],
  ['is done before it has made everything', `done();`],
  ['tells of a product nobody asked for', `make('SCAN_TYPE');`],
  [
    'names a file outside of its folder',
    `tell('SCENES', { scenes: [{ ...scenes[0], thumbnail: '../a.jpg' }] });`,
  ],
  [
    'names a file of another product',
    `write('stream/a.jpg'); tell('SCENES', { scenes: [{ ...scenes[0], thumbnail: 'stream/a.jpg' }] });`,
  ],
  ['names a file that is not there', `tell('SCENES', results.SCENES);`],
  [
    'names a link',
    `makeFiles('SCENES'); fs.symlinkSync('/etc/hostname', join(folder, 'scenes/link.jpg')); tell('SCENES', { scenes: [{ ...scenes[0], thumbnail: 'scenes/link.jpg' }] });`,
  ],
  [
    'names a file behind a link',
    `fs.mkdirSync(join(folder, 'aside')); fs.writeFileSync(join(folder, 'aside/000.jpg'), 'x'); fs.symlinkSync('aside', join(folder, 'scenes')); tell('SCENES', results.SCENES);`,
  ],
  [
    'names a folder',
    `fs.mkdirSync(join(folder, 'scenes/000.jpg'), { recursive: true }); tell('SCENES', results.SCENES);`,
  ],
  [
    'tells of scenes out of order',
    `makeFiles('SCENES'); tell('SCENES', { scenes: [...scenes, ...scenes] });`,
  ],
  [
    'tells of scenes long after the end',
    `makeFiles('SCENES'); tell('SCENES', { scenes: [{ ...scenes[0], end: 5000 }] });`,
  ],
  [
    'tells of progress without end',
    // As fast as it is read, however little of the machine this process gets.
    `const words = Buffer.from(JSON.stringify({ call, type: 'progress', product: 'SCENES', fraction: 0.1 }));
     const head = Buffer.alloc(5);
     head.writeUInt32BE(words.length);
     const many = Buffer.concat(Array(1e4).fill(Buffer.concat([head, words])));
     const pour = () => socket.write(many, pour);
     pour();`,
  ],
];

describe('a process that has to make scenes and', () => {
  it.each(DEATHS)('%s, costs the scenes, and nothing else', async (_what, onScenes) => {
    const pool = await start(
      `if (!products.includes('SCENES')) return makeAll();
       for (const product of products) if (product === 'THUMBNAILS') make(product);
       ${onScenes}`,
    );
    const told = listen();
    const folder = await newFolder();
    await pool.work(await workOf({ products: ['THUMBNAILS', 'SCENES', 'QUALITY'], folder }), told);
    expect(endsOf(told)).toEqual({ THUMBNAILS: 'made', SCENES: 'PROCESSING_CRASHED', QUALITY: 'made' });
    expect(told.outcomes).toHaveLength(3);
    expect(existsSync(`${folder}/scenes`)).toBe(false);
    expect(existsSync(`${folder}/pictures/poster.jpg`)).toBe(true);
  });
});

it('what a shared call has left open is made alone, by processes that have done nothing else, from nothing', async () => {
  const pool = await start(
    `globalThis.calls = (globalThis.calls ?? 0) + 1;
     if (order.path === '/bad.mp4' && products.length > 1) {
       write('scenes/begun.jpg');
       process.abort();
     }
     const { calls } = globalThis;
     fs.writeFileSync(join(folder, products.join('+')), calls + ' ' + fs.existsSync(join(folder, 'scenes')));
     makeAll();`,
  );
  // Both processes have served a call before.
  await pool.work(await workOf({ products: ['STREAM', 'QUALITY'] }), listen());
  expect(pool.pids()).toHaveLength(2);
  const folder = await newFolder();
  const told = listen();
  await pool.work(await workOf({ path: '/bad.mp4', folder }), told);
  expect(endsOf(told)).toEqual({ SCENES: 'made', QUALITY: 'made' });
  expect(await readFile(`${folder}/SCENES`, 'utf8')).toBe('1 false');
  expect(await readFile(`${folder}/QUALITY`, 'utf8')).toBe('1 true');
});

it('a process that tells twice of a product costs only what it had not told yet', async () => {
  const pool = await start(
    `if (!products.includes('SCENES')) return makeAll();
     make('SCENES');
     setTimeout(() => make('SCENES'), 20);`,
  );
  const told = listen();
  await pool.work(await workOf(), told);
  // The first word may have been believed before the second one came.
  expect(endsOf(told)).toEqual({ SCENES: expect.any(String), QUALITY: 'made' });
  expect(told.outcomes).toHaveLength(2);
});

/** Gives a sign of life about each product, and then does no more. */
const HANG = `for (const product of products) send({ type: 'progress', product, fraction: 0.5 });`;

/** A work under way whose process has said something. */
async function begin(pool: ReturnType<typeof createWorkPool>, asked: Asked = {}) {
  const told = listen();
  const work = await workOf(asked);
  const ended = pool.work(work, told).then(
    () => 'resolved' as const,
    (error: unknown) => error,
  );
  await waitFor(() => told.progress.length > 0, { what: 'the first progress' });
  return { told, ended, work };
}

describe('a process that', () => {
  it.each([
    ['works for too long', { deadlineMs: 700 }],
    ['is silent for too long', { silenceMs: 700 }],
  ])('%s is killed, and what it had to make has timed out', async (_what, limits) => {
    const deaths: string[] = [];
    const pool = await start(`if (products.includes('SCENES')) for (;;) {} else makeAll();`, {
      ...limits,
      onDeath: (reason) => deaths.push(reason),
    });
    const told = listen();
    await pool.work(await workOf({ products: ['SCENES'] }), told);
    expect(endsOf(told)).toEqual({ SCENES: 'PROCESSING_TIMEOUT' });
    expect(deaths).toEqual(['TIMEOUT']);
  });

  it('goes on telling of its work is not silent', async () => {
    const pool = await start(
      `let count = 0;
       const timer = setInterval(() => {
         send({ type: 'progress', product: 'SCENES', fraction: 0.5 });
         if (++count < 60) return;
         clearInterval(timer);
         makeAll();
       }, 100);`,
      { silenceMs: 5000 },
    );
    const told = listen();
    await pool.work(await workOf({ products: ['SCENES'] }), told);
    expect(endsOf(told)).toEqual({ SCENES: 'made' });
  });

  it('holds too much memory is killed, and its parent holds no more than before', async () => {
    const before = process.memoryUsage.rss();
    const deaths: string[] = [];
    const pool = await start(
      `if (products.includes('SCENES')) {
         const all = [];
         setInterval(() => all.push(Buffer.alloc(${16 * MIB}, 1)), 5);
       } else makeAll();`,
      { memoryBytes: 250 * MIB, onDeath: (reason) => deaths.push(reason) },
    );
    const told = listen();
    await pool.work(await workOf(), told);
    expect(endsOf(told)).toEqual({ SCENES: 'PROCESSING_CRASHED', QUALITY: 'made' });
    // Of the shared call, and of the scenes alone.
    expect(deaths).toHaveLength(2);
    expect(process.memoryUsage.rss() - before).toBeLessThan(100 * MIB);
  });

  it.each([
    [
      'announces a gigabyte and sends it',
      `const part = Buffer.alloc(${MIB}); raw(0, part, 1 << 30); for (let sent = 1; sent < 1024; sent++) socket.write(part);`,
    ],
    ['sends half a message and waits', `raw(0, Buffer.from('{'), 1000);`],
  ])('%s costs its parent no memory', async (_what, onCall) => {
    const before = process.memoryUsage.rss();
    const pool = await start(onCall, { silenceMs: 1000 });
    const told = listen();
    await pool.work(await workOf({ products: ['SCENES'] }), told);
    expect(Object.keys(endsOf(told))).toEqual(['SCENES']);
    expect(told.outcomes[0]).toHaveProperty('error');
    expect(process.memoryUsage.rss() - before).toBeLessThan(100 * MIB);
  });

  it('dies costs the work of no other process', async () => {
    const pool = await start(
      `if (order.path === '/bad.mp4') process.abort(); ${HANG} socket.once('data', makeAll);`,
    );
    const other = await begin(pool);
    const [pid] = pool.pids();
    const told = listen();
    await pool.work(await workOf({ path: '/bad.mp4', products: ['QUALITY'] }), told);
    expect(endsOf(told)).toEqual({ QUALITY: 'PROCESSING_CRASHED' });
    expect(pool.pids()).toContain(pid);
    expect(other.told.outcomes).toEqual([]);
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('gets %s with its group goes on', async (signal) => {
    const pool = createWorkPool({ size: 1, log: pino({ level: 'silent' }) });
    pools.push(pool);
    const work = await workOf({ path: inFolder('nothing.mp4') });
    await expect(pool.work(work, listen())).rejects.toMatchObject({ code: 'ENOENT' });
    const [pid = 0] = pool.pids();
    process.kill(-pid, signal);
    await expect(pool.work(work, listen())).rejects.toMatchObject({ code: 'ENOENT' });
    expect(pool.pids()).toEqual([pid]);
  });
});

describe('a process whose parent was killed', () => {
  it.each([
    ['waits', HANG],
    // Nothing but the kernel can tell it.
    ['is deep in a file', `${HANG} setImmediate(() => { for (;;) {} });`],
  ])('is gone soon after when it %s', async (what, onCall) => {
    if (what !== 'waits' && !existsSync('/usr/bin/setpriv')) return;
    const childPath = await writeScriptedChild(inFolder(`orphan-${what.length}.mjs`), onCall);
    const parent = fork(fileURLToPath(new URL('./support/doomed-worker.mjs', import.meta.url)), [
      childPath,
      await newFolder(),
    ]);
    const [pids] = (await once(parent, 'message')) as [number[]];
    expect(pids).toHaveLength(1);
    parent.kill('SIGKILL');
    for (const pid of pids) expect(await gone(pid)).toBe(true);
  });
});

describe('a process', () => {
  it('is replaced after so many calls', async () => {
    const pool = await start('makeAll();', { size: 1, maxCallsPerChild: 2 });
    const seen: (number | undefined)[] = [];
    for (let call = 0; call < 4; call++) {
      const work = pool.work(await workOf({ products: ['QUALITY'] }), listen());
      await waitFor(() => pool.pids().length === 1);
      seen.push(pool.pids()[0]);
      await work;
    }
    expect(new Set(seen).size).toBe(2);
    expect(await gone(seen[0] ?? 0)).toBe(true);
  });

  it('goes when it is old and has nothing to do', async () => {
    const pool = await start('makeAll();', { maxAgeMs: 1000 });
    const work = pool.work(await workOf({ products: ['QUALITY'] }), listen());
    await waitFor(() => pool.pids().length === 1);
    const [pid = 0] = pool.pids();
    await work;
    expect(await gone(pid)).toBe(true);
    expect(pool.pids()).toEqual([]);
  });

  it.skipIf(process.platform !== 'linux')(
    'knows of its file and its folder, and of nothing else',
    async () => {
      const pool = await start(HANG, { size: 1 });
      const { work } = await begin(pool);
      const [pid = 0] = pool.pids();
      expect(await readFile(`/proc/${pid}/environ`, 'latin1')).toBe('');
      expect(await readlink(`/proc/${pid}/cwd`)).toBe('/');
      const arguments_ = await readFile(`/proc/${pid}/cmdline`, 'latin1');
      expect(arguments_).not.toContain(work.folder);
      // The leader of a group of its own.
      expect(await readFile(`/proc/${pid}/stat`, 'latin1')).toMatch(
        new RegExp(`^${pid} .*\\) [A-Z] ${process.pid} ${pid} `),
      );
    },
  );
});

describe('work as a whole', () => {
  it('is no fault of its file when no process can be started', async () => {
    const pool = createWorkPool({
      size: 1,
      log: pino({ level: 'silent' }),
      childPath: inFolder('nothing.js'),
    });
    const told = listen();
    await expect(pool.work(await workOf(), told)).rejects.toThrow('A media process could not be started.');
    expect(told.outcomes).toEqual([]);
  });

  it.each([
    ['ENOSPC', MediaNoRoomError],
    ['EDQUOT', MediaNoRoomError],
    ['EIO', Error],
  ])('fails when the system does (%s), after what else is under way was stopped', async (code, type) => {
    const pool = await start(
      `send({ type: 'progress', product: products[0], fraction: 0.1 });
       if (products.includes('STREAM')) return;
       const timer = setInterval(() => {
         if (!fs.existsSync(join(folder, 'go'))) return;
         clearInterval(timer);
         send({ type: 'failed', code: '${code}', message: 'The system failed.' });
       }, 10);`,
    );
    const folder = await newFolder();
    const { told, ended } = await begin(pool, { folder, products: ['STREAM', 'QUALITY'] });
    await waitFor(() => told.progress.length === 2);
    const pids = pool.pids();
    await writeFile(`${folder}/go`, 'go');
    const error = await ended;
    expect(error).toBeInstanceOf(type);
    expect(told.outcomes).toEqual([]);
    expect(pids.filter((pid) => existsSync(`/proc/${pid}`)).length).toBeLessThan(2);
  });

  it('ends by its signal, and nobody writes below the folder any more', async () => {
    const pool = await start(HANG);
    const stop = new AbortController();
    const { told, ended } = await begin(pool, { signal: stop.signal, products: ['STREAM', 'SCENES'] });
    await waitFor(() => told.progress.length === 2);
    const pids = pool.pids();
    expect(pids).toHaveLength(2);
    stop.abort('enough');
    expect(await ended).toBe('enough');
    for (const pid of pids) expect(existsSync(`/proc/${pid}/cwd`)).toBe(false);
    expect(told.outcomes).toEqual([]);
    await expect(pool.work(await workOf({ signal: stop.signal }), told)).rejects.toBe('enough');
  });

  it('gives up its place in the queue when it is aborted', async () => {
    const pool = await start(`if (order.path === '/held.mp4') { ${HANG} } else makeAll();`, { size: 1 });
    const [held, stop] = [new AbortController(), new AbortController()];
    const first = await begin(pool, { signal: held.signal, path: '/held.mp4', products: ['SCENES'] });
    const waiting = pool.work(await workOf({ signal: stop.signal }), listen());
    stop.abort('not needed');
    await expect(waiting).rejects.toBe('not needed');
    held.abort('enough');
    expect(await first.ended).toBe('enough');
  });

  it('fails with what its listener throws', async () => {
    const pool = await start('makeAll();');
    const error = new Error('the listener is broken');
    const work = pool.work(await workOf(), {
      onProgress: () => {},
      onOutcome: () => {
        throw error;
      },
    });
    await expect(work).rejects.toBe(error);
  });

  it('is refused by a pool that was closed, and ends when it is', async () => {
    const pool = await start(HANG);
    const { ended } = await begin(pool);
    const [pid = 0] = pool.pids();
    await pool.close();
    expect(await ended).toMatchObject({ message: 'The media pool is closed.' });
    expect(await gone(pid)).toBe(true);
    await expect(pool.work(await workOf(), listen())).rejects.toThrow('closed');
  });
});
