import { expect, test } from 'vitest';
import { fingerprintSchema, type ProductResults } from '../../../src/media/products.ts';
import { similarityOf } from '../../../src/services/compare-fingerprints.ts';
import { packFrames, unpackFrames } from '../../../src/services/fingerprint-code.ts';
import { analyze } from '../support/analyze.ts';
import { encodeFilterClip, type FilterClip } from '../support/filter-clip.ts';
import { useFolder } from '../support/pool.ts';
import { variedPicture } from '../support/varied-clips.ts';

const inFolder = useFolder();
const SECONDS = 4;

type Fingerprint = ProductResults['FINGERPRINT'];

async function fingerprintOf(name: string, clip: FilterClip): Promise<Fingerprint> {
  const path = inFolder(`${name}.mp4`);
  await encodeFilterClip(path, clip);
  return fingerprintSchema.parse(await analyze(path, 'FINGERPRINT'));
}

const likeness = (one: Fingerprint, other: Fingerprint) =>
  similarityOf(unpackFrames(packFrames(one)), unpackFrames(packFrames(other)));

/** Of kinds that are quickly made. */
const NUMBERS = [1, 4, 9];
const originals = new Map<number, Fingerprint>();

test.each(NUMBERS)('copies of clip %d are like it', async (number) => {
  const filters = `${variedPicture(number, SECONDS)},scale=320:180,fps=12.5`;
  const original = await fingerprintOf(`${number}`, { filters });
  originals.set(number, original);
  const source = `movie=${inFolder(`${number}.mp4`)}`;
  const copies: Readonly<Record<string, FilterClip>> = {
    compressed: { filters: source, crf: 35 },
    halved: { filters: `${source},scale=iw/2:ih/2` },
    'cut-at-its-start': { filters: `${source},trim=start=${SECONDS / 10},setpts=PTS-STARTPTS` },
    'cut-at-its-end': { filters: `${source},trim=end=${SECONDS * 0.9}` },
    'between-bars': { filters: `${source},pad=iw:240:0:(oh-ih)/2` },
  };
  for (const [copy, clip] of Object.entries(copies)) {
    const found = likeness(original, await fingerprintOf(`${number}-${copy}`, clip));
    expect(found, copy).toBeGreaterThanOrEqual(0.8);
  }
});

test('no clip is like any other', () => {
  expect(originals.size).toBe(NUMBERS.length);
  for (const [number, one] of originals)
    for (const [other, another] of originals)
      if (number !== other) expect(likeness(one, another)).toBeLessThan(0.5);
});

test('a clip is seen as it is shown, so that one that is turned only by what its file says is like one turned for good', async () => {
  const upright = 'testsrc2=s=360x640:r=10:d=2';
  const shown = await fingerprintOf('upright', { filters: upright });
  for (const [degrees, turn] of [
    [90, 'transpose=cclock'],
    [180, 'hflip,vflip'],
    [270, 'transpose=clock'],
  ] as const) {
    const name = `turned-${degrees}`;
    const turned = await fingerprintOf(name, { filters: `${upright},${turn}`, rotation: degrees });
    expect(likeness(shown, turned)).toBeGreaterThan(0.95);
  }
});

test('pictures come four times a second, with their times; blank ones are left out', async () => {
  const { frames } = await fingerprintOf('half-blank', {
    filters: 'testsrc2=s=320x240:r=20:d=4,drawbox=t=fill:color=gray:enable=between(t\\,1\\,2.99)',
  });
  expect(frames.map(({ at }) => at)).toEqual([0, 0.25, 0.5, 0.75, 3, 3.25, 3.5, 3.75]);
  expect(await fingerprintOf('blank', { filters: 'color=black:s=320x240:r=5:d=4' })).toEqual({ frames: [] });
});

test('of a long file, no more pictures are taken than the product may hold', async () => {
  const path = inFolder('long.mp4');
  await encodeFilterClip(path, { filters: 'testsrc2=s=64x64:r=4:d=510', crf: 40 });
  const { frames } = fingerprintSchema.parse(await analyze(path, 'FINGERPRINT'));
  expect(frames.length).toBeGreaterThan(1000);
  expect(frames[1]?.at).toBe(0.5);
});
