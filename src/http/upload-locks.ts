import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ERRORS, type Lock, type Locker } from '@tus/server';
import type { Services } from '../services/deps.ts';
import { UploadRefusedError } from '../services/errors.ts';
import { reportReceived } from '../services/receive-upload.ts';
import { askForRelease, LOCK_SECONDS, renewLocks, returnLock, takeLock } from '../services/upload-locks.ts';
import { idOfKey } from './upload-keys.ts';

/** How often locks are renewed, and tasks told how far their uploads are. */
const BEAT_MS = 1_000;
/** Without an answer of the database for so long, somebody else may have a lock soon. */
const SILENCE_MS = (LOCK_SECONDS - 5) * 1000;
/** How long a request waits that has the holder of the lock give it back: for one that died, until its lock runs out. */
const PATIENCE_MS = (LOCK_SECONDS + 5) * 1000;
const PAUSE_MS = 150;

interface Held {
  readonly token: string;
  received: number | null;
  told: number | null;
  /** Has the request that holds it end soon. */
  cancel(): void;
}

/** Who writes to which upload, over all servers of a database: one request at a time. */
export interface UploadLocks {
  /** Refuses at once what is locked. */
  readonly strict: Locker;
  /** Has whoever holds a lock give it back, and waits for that: a client that was cut comes again before its old request has ended. */
  readonly patient: Locker;
  /** So many bytes of an upload are here by now, all in all. */
  received(key: string, bytes: number): void;
  /** Has all requests that hold a lock end soon. */
  release(): void;
}

type Parts = Pick<Services, 'db' | 'changes' | 'log'>;

/** Makes the locks; it keeps no timer while it holds none. */
export function createUploadLocks(services: Parts): UploadLocks {
  const { db, log } = services;
  const held = new Map<string, Held>();
  let timer: NodeJS.Timeout | undefined;
  let answeredAt = performance.now();

  const beat = async (): Promise<void> => {
    if (held.size === 0) return;
    const locks = [...held].map(([id, { token, received }]) => ({ id, token, received }));
    try {
      const renewed = await renewLocks(db, locks);
      answeredAt = performance.now();
      for (const { id, token } of locks) {
        const lock = held.get(id);
        if (lock?.token === token && renewed.get(id)?.isReleaseAsked !== false) lock.cancel();
      }
      await tell(services, held);
    } catch (error) {
      log.warn({ err: error }, 'the locks of uploads could not be renewed');
      if (performance.now() - answeredAt > SILENCE_MS) for (const lock of held.values()) lock.cancel();
    }
  };
  const plan = (): void => {
    if (timer !== undefined || held.size === 0) return;
    timer = setTimeout(() => {
      void beat().then(() => {
        timer = undefined;
        plan();
      });
    }, BEAT_MS);
  };

  const take = async (id: string, token: string, cancel: () => void): Promise<boolean> => {
    if (!(await takeLock(db, { id, token }))) return false;
    if (held.size === 0) answeredAt = performance.now();
    held.set(id, { token, received: null, told: null, cancel });
    plan();
    return true;
  };
  const wait = async (id: string, token: string, cancel: () => void, signal: AbortSignal): Promise<void> => {
    for (const deadline = performance.now() + PATIENCE_MS; ; ) {
      if (signal.aborted) throw ERRORS.ABORTED;
      if (await take(id, token, cancel)) return;
      if (performance.now() > deadline) throw isLocked();
      held.get(id)?.cancel();
      await askForRelease(db, id);
      await sleep(PAUSE_MS);
    }
  };
  const giveBack = async (id: string, token: string): Promise<void> => {
    const lock = held.get(id);
    if (lock?.token !== token) return;
    held.delete(id);
    // It runs out by itself.
    await returnLock(db, { id, token, received: lock.received }).catch((error: unknown) =>
      log.warn({ err: error }, 'the lock of an upload was not given back'),
    );
    await tell(services, new Map([[id, lock]])).catch(() => {});
  };
  const lockerOf = (isPatient: boolean): Locker => ({
    newLock(key): Lock {
      const id = idOfKey(key);
      const token = randomUUID();
      return {
        async lock(signal, requestRelease) {
          const cancel = () => void requestRelease();
          if (isPatient) await wait(id, token, cancel, signal);
          else if (!(await take(id, token, cancel))) throw isLocked();
        },
        unlock: () => giveBack(id, token),
      };
    },
  });

  return {
    strict: lockerOf(false),
    patient: lockerOf(true),
    received(key, bytes) {
      const lock = held.get(idOfKey(key));
      if (lock) lock.received = bytes;
    },
    release() {
      for (const lock of held.values()) lock.cancel();
    },
  };
}

/** Tells tasks of what came since they were told last. */
async function tell(services: Parts, locks: ReadonlyMap<string, Held>): Promise<void> {
  const news = [...locks].flatMap(([id, { received, told }]) =>
    received === null || received === told ? [] : [{ id, received }],
  );
  await reportReceived(services, news);
  for (const { id, received } of news) {
    const lock = locks.get(id);
    if (lock) lock.told = received;
  }
}

const isLocked = () =>
  new UploadRefusedError('LOCKED', 'Another request is writing to this upload. Try again when it has ended.');
