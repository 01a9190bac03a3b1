import { createHash } from 'node:crypto';
import { readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { DataDirLockedError, lockDataDir } from '../../../src/db/embedded/data-dir-lock.ts';
import { processStart } from '../../../src/db/embedded/processes.ts';
import { createFolder, killHard, runNode } from './support.ts';

const LOCK_AND_STAY = `
  import { lockDataDir } from './dist/db/embedded/data-dir-lock.js';
  await lockDataDir(process.argv[1]);
  console.log(JSON.stringify(process.pid));
  setInterval(() => {}, 1000);
`;

const LOCK_ONCE = `
  import { lockDataDir } from './dist/db/embedded/data-dir-lock.js';
  const outcome = await lockDataDir(process.argv[1]).then(() => 'held', (error) => error.name);
  console.log(JSON.stringify(outcome));
  setInterval(() => {}, 1000);
`;

test('a folder that another process holds is refused, and the error names that process', async () => {
  const dataDir = await createFolder();
  const holder = await runNode(LOCK_AND_STAY, dataDir);
  const refused = lockDataDir(dataDir);
  await expect(refused).rejects.toThrow(DataDirLockedError);
  await expect(refused).rejects.toMatchObject({ pid: holder.process.pid });
  await expect(refused).rejects.toThrow(`pid ${holder.output}`);
});

test('the lock of a process that was killed is taken over at once', async () => {
  const dataDir = await createFolder();
  const holder = await runNode(LOCK_AND_STAY, dataDir);
  await killHard(holder.process);
  const before = Date.now();
  const release = await lockDataDir(dataDir);
  // A holder that cannot be looked up is waited for, 12 s long.
  expect(Date.now() - before).toBeLessThan(10_000);
  await release();
});

test('a released folder can be held again, by this process too, but not twice', async () => {
  const dataDir = join(await createFolder(), 'not', 'there', 'yet');
  const release = await lockDataDir(dataDir);
  await expect(lockDataDir(dataDir)).rejects.toMatchObject({ pid: process.pid });
  await release();
  const again = await lockDataDir(dataDir);
  await again();
});

test('a pid that now belongs to another process does not hold the lock', async () => {
  const dataDir = await createFolder();
  const holder = await runNode(LOCK_AND_STAY, dataDir);
  const file = join(dataDir, 'sluice.lock');
  const lock = JSON.parse(await readFile(file, 'utf8'));
  await writeFile(file, JSON.stringify({ ...lock, started: '1' }));
  const release = await lockDataDir(dataDir);
  await release();
  expect(holder.process.exitCode).toBeNull();
});

test('of many processes that find the same dead lock exactly one gets it', async () => {
  const dataDir = await createFolder();
  await killHard((await runNode(LOCK_AND_STAY, dataDir)).process);
  const outcomes = await Promise.all(Array.from({ length: 6 }, () => runNode(LOCK_ONCE, dataDir)));
  expect(outcomes.map(({ output }) => output).sort()).toEqual([
    ...Array(5).fill('DataDirLockedError'),
    'held',
  ]);
});

test('a dead lock that another process is removing is left to that one, unless it dies, too', async () => {
  const dataDir = await createFolder();
  const file = join(dataDir, 'sluice.lock');
  const holder = await runNode(LOCK_AND_STAY, dataDir);
  await killHard(holder.process);
  const dead = await readFile(file, 'utf8');
  const right = `${file}.${createHash('sha256').update(dead).digest('hex').slice(0, 16)}`;
  // A process that has just begun to remove it, and one that died doing so.
  const remover = await runNode(`console.log(JSON.stringify(process.pid)); setInterval(() => {}, 1000);`);
  const pid = Number(remover.output);
  const { space } = JSON.parse(dead);
  await writeFile(right, JSON.stringify({ pid, started: await processStart(pid), space }));
  let isHeld = false;
  const locking = lockDataDir(dataDir).finally(() => {
    isHeld = true;
  });
  await sleep(300);
  expect([isHeld, await readFile(file, 'utf8')]).toEqual([false, dead]);
  await killHard(remover.process);
  const release = await locking;
  expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({ pid: process.pid });
  await release();
  expect(await readdir(dataDir)).toEqual([]);
});

test('a holder in another container is known by touching its file, and dead when it stopped long ago', async () => {
  const dataDir = await createFolder();
  const file = join(dataDir, 'sluice.lock');
  const elsewhere = JSON.stringify({ pid: 1, started: '1', space: 'another boot' });
  await writeFile(file, elsewhere);
  const touching = setInterval(() => void utimes(file, new Date(), new Date()), 500);
  try {
    await expect(lockDataDir(dataDir)).rejects.toMatchObject({ pid: 1 });
  } finally {
    clearInterval(touching);
  }
  const longAgo = new Date(Date.now() - 60_000);
  await utimes(file, longAgo, longAgo);
  const release = await lockDataDir(dataDir);
  await release();
});

test('a lock file that its writer never finished does not lock for ever', async () => {
  const dataDir = await createFolder();
  await writeFile(join(dataDir, 'sluice.lock'), '{"pid":');
  const release = await lockDataDir(dataDir);
  await release();
});
