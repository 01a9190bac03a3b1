import { expect, test } from 'vitest';
import { analyze } from '../support/analyze.ts';
import { encodeFilterClip, type FilterClip } from '../support/filter-clip.ts';
import { useFolder } from '../support/pool.ts';

const inFolder = useFolder();
const DRAWN = 'testsrc2=s=640x480';
/** A camera that goes over a picture of fine detail. */
const detail = (rate: string, seconds: number) =>
  `mandelbrot=s=640x480:maxiter=300,loop=loop=-1:size=1,setpts=N/(${rate})/TB,fps=${rate},scroll=h=0.006:v=0.004,trim=duration=${seconds}`;
const STILL = 'smptebars=s=640x480:r=25:d=2';
const FILM = '24000/1001';

const CLIPS: readonly [name: string, clip: FilterClip, scanType: string][] = [
  ['drawn pictures', { filters: `${DRAWN}:r=25:d=4` }, 'PROGRESSIVE'],
  ['fine detail', { filters: detail('25', 3) }, 'PROGRESSIVE'],
  ['film shown sixty times a second', { filters: `${DRAWN}:r=${FILM}:d=4,fps=60` }, 'PROGRESSIVE'],
  [
    'fields, the top one first',
    { filters: `${DRAWN}:r=50:d=2,tinterlace=interleave_top`, interlaced: true },
    'INTERLACED_TFF',
  ],
  [
    'fields, the bottom one first',
    { filters: `${DRAWN}:r=50:d=2,tinterlace=interleave_bottom`, interlaced: true },
    'INTERLACED_BFF',
  ],
  [
    'fields that the file says nothing of',
    { filters: `${DRAWN}:r=50:d=2,interlace=scan=tff` },
    'INTERLACED_TFF',
  ],
  ['fields of fine detail', { filters: `${detail('50', 2)},interlace=scan=bff` }, 'INTERLACED_BFF'],
  ['a pulldown', { filters: `${DRAWN}:r=${FILM}:d=4,telecine=pattern=23` }, 'TELECINED'],
  [
    'a pulldown that begins with the bottom field',
    { filters: `${DRAWN}:r=${FILM}:d=4,telecine=first_field=bottom:pattern=23`, interlaced: true },
    'TELECINED',
  ],
  ['a pulldown of fine detail', { filters: `${detail(FILM, 4)},telecine=pattern=23` }, 'TELECINED'],
  ['a still picture', { filters: STILL }, 'PROGRESSIVE'],
  [
    'a still picture whose file says fields',
    { filters: `${STILL},setfield=tff`, interlaced: true },
    'UNKNOWN',
  ],
];

test.each(CLIPS)('%s', async (name, clip, scanType) => {
  const path = inFolder(`${name.replaceAll(/\W+/g, '-')}.mp4`);
  await encodeFilterClip(path, clip);
  expect(await analyze(path, 'SCAN_TYPE')).toEqual({ scanType });
});

test('of a long file, parts are looked at', async () => {
  const path = inFolder('long.mp4');
  await encodeFilterClip(path, {
    filters: `testsrc2=s=480x360:r=20:d=40,tinterlace=interleave_top`,
    interlaced: true,
  });
  expect(await analyze(path, 'SCAN_TYPE')).toEqual({ scanType: 'INTERLACED_TFF' });
});
