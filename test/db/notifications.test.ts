import pg from 'pg';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { createNotifications, type Notifications } from '../../src/db/notifications.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createTcpProxy } from '../support/tcp-proxy.ts';

const log = pino({ level: 'silent' });
let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(() => database.drop());

describe('listening', () => {
  test('every callback of a channel gets every notification, until it is ended', async () => {
    const { notifications } = await open();
    const [first, second, other] = [vi.fn(), vi.fn(), vi.fn()];
    const endFirst = notifications.listen('news', first);
    notifications.listen('news', second);
    notifications.listen('"odd" Channel', other);
    await notifications.start();
    notifications.notify('news', 'one');
    notifications.notify('"odd" Channel', 'two');
    await expect
      .poll(() => [first.mock.calls, second.mock.calls, other.mock.calls])
      .toEqual([[['one']], [['one']], [['two']]]);
    endFirst();
    notifications.notify('news', 'three');
    await expect.poll(() => second.mock.calls).toEqual([['one'], ['three']]);
    expect(first.mock.calls).toEqual([['one']]);
  });

  test('a channel is listened to when its first callback comes and no longer when its last one goes', async () => {
    // No ping is the last statement.
    const { notifications, pool } = await open({ pingSeconds: 3600 });
    await notifications.start();
    const end = notifications.listen('brief', () => {});
    await expect.poll(() => lastStatement(pool)).toBe('listen brief');
    const endSecond = notifications.listen('brief', () => {});
    end();
    end();
    endSecond();
    await expect.poll(() => lastStatement(pool)).toBe('unlisten brief');
  });

  test('a callback that throws keeps nobody else from being called', async () => {
    const { notifications } = await open();
    const callback = vi.fn();
    notifications.listen('news', () => {
      throw new Error('broken');
    });
    notifications.listen('news', callback);
    await notifications.start();
    notifications.notify('news', 'one');
    notifications.notify('news', 'two');
    await expect.poll(() => callback.mock.calls).toEqual([['one'], ['two']]);
  });

  test('a connection that the server ends is replaced, and whoever watches is told', async () => {
    const { notifications, pool } = await open();
    const [received, reconnected, ended] = [vi.fn(), vi.fn(), vi.fn()];
    notifications.listen('news', received);
    notifications.onReconnect(() => {
      throw new Error('broken');
    });
    notifications.onReconnect(reconnected);
    notifications.onReconnect(ended)();
    await notifications.start();
    expect(notifications.connected).toBe(true);
    await terminateListener(pool);
    await expect.poll(() => reconnected.mock.calls.length).toBe(1);
    expect(notifications.connected).toBe(true);
    notifications.notify('news', 'after');
    await expect.poll(() => received.mock.calls).toEqual([['after']]);
    expect(ended).not.toHaveBeenCalled();
  });

  test('a channel added while the connection is down is listened to when it is back', async () => {
    const proxy = await openProxy();
    const { notifications } = await open({ connectionString: proxy.url });
    await notifications.start();
    proxy.refuse();
    await expect.poll(() => notifications.connected).toBe(false);
    const received = vi.fn();
    notifications.listen('late', received);
    proxy.admit();
    await expect.poll(() => notifications.connected).toBe(true);
    notifications.notify('late', 'one');
    await expect.poll(() => received.mock.calls).toEqual([['one']]);
  });

  test('a connection that goes silent without closing is found by its ping and replaced', async () => {
    const proxy = await openProxy();
    const { notifications } = await open({
      connectionString: proxy.url,
      pingSeconds: 0.05,
      pingTimeoutSeconds: 1,
    });
    const [received, reconnected] = [vi.fn(), vi.fn()];
    notifications.listen('news', received);
    notifications.onReconnect(reconnected);
    await notifications.start();
    proxy.freeze();
    await expect.poll(() => reconnected.mock.calls.length).toBeGreaterThan(0);
    expect(proxy.accepted()).toBeGreaterThan(1);
    // Again and again: where the server stands still for so long, the new connection is replaced, too.
    await expect
      .poll(() => {
        notifications.notify('news', 'after');
        return received.mock.calls[0];
      })
      .toEqual(['after']);
  });

  test('the first connection has to succeed', async () => {
    const proxy = await openProxy();
    proxy.refuse();
    const { notifications } = await open({ connectionString: proxy.url });
    await expect(notifications.start()).rejects.toThrow();
    expect(notifications.connected).toBe(false);
  });

  test('it stops while it tries to connect', async () => {
    const proxy = await openProxy();
    const { notifications } = await open({ connectionString: proxy.url });
    await notifications.start();
    proxy.refuse();
    await expect.poll(() => proxy.accepted()).toBeGreaterThan(1);
    await notifications.stop();
    const attempts = proxy.accepted();
    proxy.admit();
    expect(notifications.connected).toBe(false);
    expect(proxy.accepted()).toBe(attempts);
  });
});

describe('notifying', () => {
  test('equal pairs that wait together are sent once, and many pairs in few statements', async () => {
    const { notifications, statements } = await open();
    const received = vi.fn();
    notifications.listen('news', received);
    await notifications.start();
    for (let round = 0; round < 100; round += 1) {
      for (let number = 0; number < 50; number += 1) notifications.notify('news', String(number));
    }
    await expect.poll(() => received.mock.calls.length).toBe(50);
    expect(new Set(received.mock.calls.flat()).size).toBe(50);
    expect(statements()).toBe(1);
  });

  test('a steady stream leaves at most every 25 ms, and its last value arrives', async () => {
    const { notifications, statements } = await open();
    const received = new Set<string>();
    notifications.listen('news', (payload) => received.add(payload));
    await notifications.start();
    const begin = performance.now();
    let number = 0;
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        notifications.notify('news', String(++number));
        if (number < 100) return;
        clearInterval(timer);
        resolve();
      }, 2);
    });
    await expect.poll(() => received.size).toBe(100);
    const elapsed = performance.now() - begin;
    expect(statements()).toBeGreaterThan(1);
    expect(statements()).toBeLessThanOrEqual(elapsed / 25 + 2);
  });

  test('a payload of 7,999 bytes arrives and one of 8,000 is refused at once', async () => {
    const { notifications } = await open();
    const received = vi.fn();
    notifications.listen('news', received);
    await notifications.start();
    const longest = `${'é'.repeat(3999)}x`;
    notifications.notify('news', longest);
    expect(() => notifications.notify('news', 'é'.repeat(4000))).toThrow(RangeError);
    await expect.poll(() => received.mock.calls).toEqual([[longest]]);
  });

  test('what could not be sent is sent when the database is back', async () => {
    const proxy = await openProxy();
    const { notifications } = await open({ poolUrl: proxy.url });
    const received = vi.fn();
    notifications.listen('news', received);
    await notifications.start();
    proxy.refuse();
    notifications.notify('news', 'held up');
    await expect.poll(() => proxy.accepted()).toBeGreaterThan(0);
    proxy.admit();
    await expect.poll(() => received.mock.calls).toEqual([['held up']]);
  });

  test('a stop sends what still waits', async () => {
    const { notifications } = await open();
    const receiver = await open();
    const received = vi.fn();
    receiver.notifications.listen('news', received);
    await receiver.notifications.start();
    await notifications.start();
    notifications.notify('news', 'first');
    notifications.notify('news', 'last');
    await notifications.stop();
    await expect.poll(() => received.mock.calls.flat().sort()).toEqual(['first', 'last']);
  });
});

interface Opened {
  readonly notifications: Notifications;
  readonly pool: pg.Pool;
  /** How many statements the sender sent. */
  readonly statements: () => number;
}

interface OpenOptions {
  readonly connectionString?: string;
  readonly poolUrl?: string;
  readonly pingSeconds?: number;
  readonly pingTimeoutSeconds?: number;
}

async function open({ poolUrl = database.url, ...options }: OpenOptions = {}): Promise<Opened> {
  const pool = new pg.Pool({ connectionString: poolUrl, max: 2 });
  pool.on('error', () => {});
  const sent = vi.spyOn(pool, 'query');
  const notifications = createNotifications({ connectionString: database.url, pool, log, ...options });
  onTestFinished(async () => {
    await notifications.stop();
    await pool.end();
  });
  return { notifications, pool, statements: () => sent.mock.calls.length };
}

async function openProxy() {
  const proxy = await createTcpProxy(database.url);
  onTestFinished(proxy.close);
  return proxy;
}

async function lastStatement(pool: pg.Pool): Promise<string> {
  const { rows } = await pool.query(
    "select query from pg_stat_activity where application_name = 'sluice listen' and datname = current_database()",
  );
  return String(rows[0]?.query).replaceAll('"', '');
}

async function terminateListener(pool: pg.Pool): Promise<void> {
  const ofListeners = `from pg_stat_activity where application_name = 'sluice listen' and datname = current_database()`;
  // The connection of an earlier test is closed without a word: the server sees that a moment later.
  await expect.poll(async () => (await pool.query(`select ${ofListeners}`)).rowCount).toBe(1);
  await pool.query(`select pg_terminate_backend(pid) ${ofListeners}`);
}
