import { type ByteSource, readFully } from './byte-source.ts';

const SEGMENT_ID = 0x18538067;
const EBML_ID = 0x1a45dfa3;
const VOID_ID = 0xec;

/**
 * How many bytes are missing at the end of a Matroska or WebM file by the size of its segment (RFC 9559,
 * 5.1); 0 if none, or if the size is unknown, as in a live recording.
 */
export async function missingMatroskaBytes(source: ByteSource): Promise<number> {
  let at = 0;
  for (let elements = 0; elements < 8; elements++) {
    const header = await readFully(source, at, 12);
    const id = readVint(header, 0, false);
    const size = id && readVint(header, id.length, true);
    if (!id || !size) return 0;
    const start = at + id.length + size.length;
    if (id.value === SEGMENT_ID) return size.unknown ? 0 : Math.max(0, start + size.value - source.size);
    if ((id.value !== EBML_ID && id.value !== VOID_ID) || size.unknown) return 0;
    at = start + size.value;
  }
  return 0;
}

interface Vint {
  readonly value: number;
  readonly length: number;
  readonly unknown: boolean;
}

/**
 * A variable-size integer (RFC 8794, 4): the leading zeros tell its length; ids keep the length marker,
 * sizes do not.
 */
function readVint(bytes: Uint8Array, at: number, masked: boolean): Vint | undefined {
  const first = bytes[at];
  if (!first) return undefined;
  const length = Math.clz32(first) - 23;
  if (at + length > bytes.length) return undefined;
  let value = masked ? first & (0xff >> length) : first;
  let unknown = masked && value === 0xff >> length;
  for (let i = 1; i < length; i++) {
    const byte = bytes[at + i] ?? 0;
    value = value * 256 + byte;
    unknown &&= byte === 0xff;
  }
  return { value, length, unknown };
}
