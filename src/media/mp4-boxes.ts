import { type ByteSource, readFully } from './byte-source.ts';

export interface Mp4Box {
  readonly type: string;
  /** Where its content begins, and where it claims to end: past the end of the file if bytes are missing. */
  readonly start: number;
  readonly end: number;
}

/** So many boxes are looked at, at most: a hostile file can be made of nothing but headers. */
const MOST_BOXES = 100_000;

/**
 * The boxes between two offsets, one after the other (ISO/IEC 14496-12, 4.2). Ends quietly where there is no
 * box.
 * A size of 0 means: to the end.
 */
async function* boxesOf(source: ByteSource, from: number, to: number): AsyncGenerator<Mp4Box> {
  let at = from;
  for (let count = 0; count < MOST_BOXES && at + 8 <= to; count++) {
    const header = await readFully(source, at, Math.min(16, source.size - at));
    if (header.length < 8) return;
    const type = header.toString('latin1', 4, 8);
    const short = header.readUInt32BE(0);
    const large = short === 1 && header.length === 16;
    // Past 2^53 the number is not exact, and past every file's end all the same.
    const size = short === 0 ? to - at : large ? Number(header.readBigUInt64BE(8)) : short;
    const headerSize = large ? 16 : 8;
    if (size < headerSize) return;
    yield { type, start: at + headerSize, end: at + size };
    at += size;
  }
}

const MEDIA_BOXES = new Set(['mdat', 'moof', 'moov']);

/**
 * How many bytes are missing at the end of an MP4 or MOV by what its boxes claim; 0 if none. Only boxes that
 * hold media count: a mangled trailer harms nobody. A remote fragmented file is looked at up to its first
 * fragment, for each further one would cost a request.
 */
export async function missingMp4Bytes(source: ByteSource): Promise<number> {
  for await (const box of boxesOf(source, 0, source.size)) {
    if (box.end > source.size && MEDIA_BOXES.has(box.type)) return box.end - source.size;
    if (box.type === 'moof' && source.remote) return 0;
  }
  return 0;
}

/**
 * Whether a track's samples are encrypted: sample entry 'encv' (ISO/IEC 14496-12, 8.12). FFmpeg shows the
 * original format instead.
 */
export async function hasProtectedVideo(source: ByteSource): Promise<boolean> {
  for await (const moov of boxesOf(source, 0, source.size)) {
    if (moov.type === 'moof' && source.remote) return false;
    if (moov.type !== 'moov') continue;
    for await (const trak of boxesOf(source, moov.start, Math.min(moov.end, source.size))) {
      if (trak.type === 'trak' && (await hasProtectedEntry(source, trak))) return true;
    }
    return false;
  }
  return false;
}

async function hasProtectedEntry(source: ByteSource, trak: Mp4Box): Promise<boolean> {
  let box = trak;
  for (const type of ['mdia', 'minf', 'stbl', 'stsd']) {
    const inner = await firstBox(source, box, type);
    if (!inner) return false;
    box = inner;
  }
  // stsd: version, flags and the number of entries, then the entries as boxes.
  return (await firstBox(source, { ...box, start: box.start + 8 }, 'encv')) !== undefined;
}

async function firstBox(source: ByteSource, parent: Mp4Box, type: string): Promise<Mp4Box | undefined> {
  for await (const box of boxesOf(source, parent.start, Math.min(parent.end, source.size))) {
    if (box.type === type) return box;
  }
  return undefined;
}
