import { type ByteSource, readFully } from './byte-source.ts';

/** Writers count the last padding in or out. */
const HARMLESS_BYTES = 16;
const MOST_CHUNKS = 64;

/**
 * How many bytes are missing at the end of an AVI by the size of its `movi` list, and of the further `RIFF
 * AVIX` parts of a large file; 0 if none, or if the recorder broke off before it wrote a size.
 */
export async function missingAviBytes(source: ByteSource): Promise<number> {
  const riff = await readChunk(source, 0);
  if (!riff) return 0;
  for await (const chunk of chunksFrom(source, 12)) {
    const missing = chunk.end - source.size;
    if (chunk.kind === 'movi') {
      if (missing > HARMLESS_BYTES) return missing;
      break;
    }
  }
  // Each part may be a gigabyte away: for a remote file that would be a request each.
  if (source.remote) return 0;
  for await (const part of chunksFrom(source, riff.end)) {
    if (part.kind === 'AVIX' && part.end - source.size > HARMLESS_BYTES) return part.end - source.size;
  }
  return 0;
}

interface Chunk {
  /** Of a list its type, of another chunk its name. */
  readonly kind: string;
  readonly end: number;
}

async function* chunksFrom(source: ByteSource, from: number): AsyncGenerator<Chunk> {
  let at = from;
  for (let count = 0; count < MOST_CHUNKS && at < source.size; count++) {
    const chunk = await readChunk(source, at);
    if (!chunk) return;
    yield chunk;
    at = chunk.end;
  }
}

/**
 * A chunk's header: four letters, 32 bits of size, and for RIFF and LIST four letters more; chunks begin at
 * even places.
 */
async function readChunk(source: ByteSource, at: number): Promise<Chunk | null> {
  const header = await readFully(source, at, 12);
  if (header.length < 12) return null;
  const name = header.toString('latin1', 0, 4);
  const size = header.readUInt32LE(4);
  const unknown = size === 0 || size === 0xffffffff;
  const kind = name === 'LIST' || name === 'RIFF' ? header.toString('latin1', 8, 12) : name;
  return { kind, end: unknown ? source.size : at + 8 + size + (size % 2) };
}
