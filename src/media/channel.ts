import type { Duplex } from 'node:stream';

/**
 * Messages between the pool and a child over one socket: JSON, or bytes. Node's own channel of `fork` is not
 * used, because a child that was taken over by a hostile file could make its parent throw, or keep
 * everything that it sends, by ill-formed messages there.
 */
export interface Channel {
  sendJson(message: object): void;
  sendBytes(bytes: Uint8Array): void;
}

export interface ChannelOptions {
  readonly socket: Duplex;
  /** The longest message taken from the other side, in bytes. */
  readonly maxBytes: number;
  readonly onJson: (message: unknown) => void;
  readonly onBytes?: (bytes: Buffer) => void;
  /** The other side sent what is no message; nothing more is read from it. */
  readonly onViolation: (problem: string) => void;
}

/** Told to a child by the pool, for child.js is a program, and importing it must start nothing. */
export const CHILD_ARGUMENT = '--media-child';
/** The longest message of a child that probes. */
export const LONGEST_REPORT = 16 * 1024;
/** The longest message of a child that makes products: a thousand scenes, or two thousand pictures of a fingerprint. */
export const LONGEST_WORK_REPORT = 512 * 1024;
/** The longest message to a child: a block of a remote file. */
export const LONGEST_ORDER = 4 * 1024 * 1024;

/** Length (4 bytes) and kind (1 byte) go before each message. */
const HEADER_LENGTH = 5;
const JSON_KIND = 0;
const BYTES_KIND = 1;

export function createChannel(options: ChannelOptions): Channel {
  const { socket } = options;
  let ended = false;
  const violate = (problem: string) => {
    ended = true;
    options.onViolation(problem);
  };
  const next = createMessageReader(options.maxBytes, violate);

  socket.on('data', (chunk: Buffer) => {
    if (ended) return;
    for (let message = next(chunk); message && !ended; message = next()) deliver(message);
  });

  function deliver({ kind, body }: Message): void {
    if (kind === BYTES_KIND && options.onBytes) {
      options.onBytes(body);
      return;
    }
    if (kind !== JSON_KIND) {
      violate(`a message of kind ${kind}`);
      return;
    }
    let message: unknown;
    try {
      message = JSON.parse(body.toString());
    } catch {
      violate('a message that is no JSON');
      return;
    }
    options.onJson(message);
  }

  function send(kind: number, body: Uint8Array): void {
    if (!socket.writable) return;
    const head = Buffer.alloc(HEADER_LENGTH);
    head.writeUInt32BE(body.length, 0);
    head.writeUInt8(kind, 4);
    socket.write(head);
    socket.write(body);
  }

  return {
    sendJson: (message) => send(JSON_KIND, Buffer.from(JSON.stringify(message))),
    sendBytes: (bytes) => send(BYTES_KIND, bytes),
  };
}

interface Message {
  readonly kind: number;
  readonly body: Buffer;
}

/**
 * Cuts what arrives into messages: called with each chunk, and then without until there is no whole message
 * left.
 */
function createMessageReader(
  maxBytes: number,
  violate: (problem: string) => void,
): (chunk?: Buffer) => Message | null {
  let parts: Buffer[] = [];
  let length = 0;
  let header: { length: number; kind: number } | undefined;

  function take(wanted: number): Buffer {
    // Joined only when enough has come: a block of a megabyte arrives in sixteen pieces or more.
    const all = parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts);
    parts = [all.subarray(wanted)];
    length -= wanted;
    return all.subarray(0, wanted);
  }

  return (chunk) => {
    if (chunk) {
      parts.push(chunk);
      length += chunk.length;
    }
    if (!header) {
      if (length < HEADER_LENGTH) return null;
      const bytes = take(HEADER_LENGTH);
      header = { length: bytes.readUInt32BE(0), kind: bytes.readUInt8(4) };
    }
    if (header.length > maxBytes) {
      violate(`a message of ${header.length} bytes`);
      return null;
    }
    if (length < header.length) return null;
    const message = { kind: header.kind, body: take(header.length) };
    header = undefined;
    return message;
  };
}
