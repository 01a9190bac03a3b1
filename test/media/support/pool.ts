import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll } from 'vitest';
import type { MediaFacts } from '../../../src/media/facts.ts';
import { createMediaPool, type MediaPool, type MediaPoolOptions } from '../../../src/media/pool.ts';

/** A signal that nobody aborts. */
export function unaborted(): AbortSignal {
  return new AbortController().signal;
}

/** A pool for one test file, closed after it. */
export function usePool(options: Partial<MediaPoolOptions> = {}): MediaPool {
  const pool = createMediaPool({ size: 2, log: pino({ level: 'silent' }), ...options });
  afterAll(() => pool.close());
  return pool;
}

/** A folder for one test file, removed after it. */
export function useFolder(): (name: string) => string {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-media-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  return (name) => join(folder, name);
}

/** The facts, or the code of the error that the file is refused with. */
export async function outcomeOf(probe: Promise<MediaFacts>): Promise<MediaFacts | string> {
  try {
    return await probe;
  } catch (error) {
    if (error instanceof Error && 'code' in error) return String(error.code);
    throw error;
  }
}

/** Resolves when a process is gone: by its entry below /proc, or by asking for it where there is none. */
export async function gone(pid: number, withinMs = 60_000): Promise<boolean> {
  for (const end = Date.now() + withinMs; Date.now() < end; ) {
    if (!isAlive(pid)) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}

function isAlive(pid: number): boolean {
  if (existsSync('/proc/self')) return existsSync(`/proc/${pid}`);
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
