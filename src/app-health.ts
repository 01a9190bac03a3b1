import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from 'pg';
import type { Delivery } from './app-notifications.ts';
import type { PartState } from './http/health.ts';
import type { Shutdown } from './shutdown.ts';

/** A supervisor waits for an answer, but not long. */
const DATABASE_MS = 3_000;

interface OpenedParts {
  readonly pool: Pool;
  readonly notifications: { readonly connected: boolean };
  readonly delivery: Delivery;
}

/** Whether this process can do its work. */
export interface Health {
  /** It is ready from now on, as far as these parts work. */
  open(parts: OpenedParts): void;
  /** By part, whether it works; never rejects. */
  parts(): Promise<Readonly<Record<string, PartState>>>;
}

/** Not ready before `open`, nor from the moment on at which the process begins to stop. */
export function createHealth(shutdown: Shutdown): Health {
  let opened: OpenedParts | null = null;
  let checkDatabase = async (): Promise<PartState> => false;
  return {
    open(parts) {
      opened = parts;
      checkDatabase = createDatabaseCheck(parts.pool);
    },
    async parts() {
      if (shutdown.isStopping) return { stopping: false };
      if (opened === null) return { starting: false };
      const { notifications, delivery } = opened;
      return {
        database: await checkDatabase(),
        notifications: notifications.connected && (delivery.works || 'LIMPS'),
      };
    },
  };
}

/**
 * One statement at a time, however often it is asked for: one that gets no answer must not take connection after connection.
 * A database that takes no changes, as a standby, still serves all that reads.
 */
function createDatabaseCheck(pool: Pool): () => Promise<PartState> {
  let asking: Promise<PartState> | null = null;
  const ask = async (): Promise<PartState> => {
    try {
      const { rows } = await pool.query<{ readonly isWritable: boolean }>(
        `select current_setting('transaction_read_only') = 'off' as "isWritable"`,
      );
      return rows[0]?.isWritable === true || 'LIMPS';
    } catch {
      return false;
    } finally {
      asking = null;
    }
  };
  return async () => {
    asking ??= ask();
    const late = new AbortController();
    const timeout = delay(DATABASE_MS, false, { signal: late.signal }).catch(() => false);
    const state = await Promise.race([asking, timeout]);
    late.abort();
    return state;
  };
}
