import { box, fullBox, halves, letters, words } from './box-writer.ts';
import type { Mp4Track } from './track.ts';

/** The number of the only track in each file of a stream. */
export const TRACK_ID = 1;
const FIXED_ONE = 0x10000;
const NO_TURN = [FIXED_ONE, 0, 0, 0, FIXED_ONE, 0, 0, 0, 0x40000000] as const;
/** Enabled, and part of what is shown. */
const SHOWN = 3;

/**
 * The boxes ftyp and moov of a CMAF track (ISO/IEC 23000-19, 7.3).
 * @param skipped ticks at the begin that are neither seen nor heard
 */
export function makeInitSegment(track: Mp4Track, skipped: number): Buffer {
  const brands = letters('iso6cmfcmp41');
  return Buffer.concat([
    box('ftyp', letters('iso6'), words(0), brands),
    box('moov', makeMovieHeader(track), makeTrack(track, skipped), makeExtends()),
  ]);
}

const makeMovieHeader = ({ timescale }: Mp4Track): Buffer =>
  fullBox(
    'mvhd',
    {},
    words(0, 0, timescale, 0, FIXED_ONE),
    halves(0x100, 0),
    words(0, 0, ...NO_TURN, 0, 0, 0, 0, 0, 0, TRACK_ID + 1),
  );

/** Samples keep their durations and sizes in the fragments. */
const makeExtends = (): Buffer => box('mvex', fullBox('trex', {}, words(TRACK_ID, 1, 0, 0, 0)));

function makeTrack(track: Mp4Track, skipped: number): Buffer {
  const { kind, shape, entry, timescale, language } = track;
  const isVideo = kind === 'video';
  const header = fullBox(
    'tkhd',
    { flags: SHOWN },
    words(0, 0, TRACK_ID, 0, 0, 0, 0),
    halves(0, 0, isVideo ? 0 : 0x100, 0),
    isVideo ? shape : words(...NO_TURN, 0, 0),
  );
  const edit = skipped > 0 ? [box('edts', fullBox('elst', {}, words(1, 0, skipped, FIXED_ONE)))] : [];
  const media = fullBox('mdhd', {}, words(0, 0, timescale, 0), halves(packLanguage(language), 0));
  const handler = isVideo ? 'vide' : 'soun';
  const name = letters(`${isVideo ? 'Pictures' : 'Sound'}\0`);
  const kindHeader = isVideo ? fullBox('vmhd', { flags: 1 }, words(0, 0)) : fullBox('smhd', {}, words(0));
  return box(
    'trak',
    header,
    ...edit,
    box(
      'mdia',
      media,
      fullBox('hdlr', {}, words(0), letters(handler), words(0, 0, 0), name),
      box('minf', kindHeader, makeDataInformation(), makeEmptyTable(entry.bytes)),
    ),
  );
}

const makeDataInformation = (): Buffer =>
  box('dinf', fullBox('dref', {}, words(1), fullBox('url ', { flags: 1 })));

const makeEmptyTable = (entry: Buffer): Buffer =>
  box(
    'stbl',
    fullBox('stsd', {}, words(1), entry),
    fullBox('stts', {}, words(0)),
    fullBox('stsc', {}, words(0)),
    fullBox('stsz', {}, words(0, 0)),
    fullBox('stco', {}, words(0)),
  );

/** Three letters of five bits each. */
const packLanguage = (language: string): number =>
  [...language].reduce((packed, letter) => packed * 32 + (letter.charCodeAt(0) - 0x60), 0);
