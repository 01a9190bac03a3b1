import { Socket } from 'node:net';
import { constants, getPriority, setPriority } from 'node:os';
import { AV_LOG_QUIET } from 'node-av/constants';
import { Log } from 'node-av/lib';
import { type Channel, createChannel, LONGEST_ORDER } from './channel.ts';

/** The file descriptor of the socket to the pool. */
const CHANNEL_FD = 3;

export interface PoolLineOptions {
  readonly onJson: (message: unknown) => void;
  readonly onBytes?: (bytes: Buffer) => void;
}

/**
 * Makes this process a child of a pool: out of the way of others, silent, and dead as soon as the pool goes away.
 * @returns the way to the pool
 */
export function connectToPool({ onJson, onBytes }: PoolLineOptions): Channel {
  // A terminal's Ctrl-C and a supervisor's SIGTERM reach the whole group; the pool alone decides when its children end.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => {});
  const { PRIORITY_BELOW_NORMAL } = constants.priority;
  if (getPriority() < PRIORITY_BELOW_NORMAL) setPriority(PRIORITY_BELOW_NORMAL);
  Log.setLevel(AV_LOG_QUIET);
  const socket = new Socket({ fd: CHANNEL_FD, readable: true, writable: true });
  socket.on('error', die).on('end', die).on('close', die);
  return createChannel({
    socket,
    maxBytes: LONGEST_ORDER,
    onJson,
    ...(onBytes ? { onBytes } : {}),
    onViolation: die,
  });
}

/** Not process.exit: that waits for FFmpeg's threads, and one of them may never end. */
const die = () => process.kill(process.pid, 'SIGKILL');
