import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { ANALYZERS, type AnalyzerTable } from '../../src/media/analysis/analyzers.ts';
import { type AnalysisWork, runAnalysis } from '../../src/media/analysis/run-analysis.ts';
import { type ProductOutcome, productSchemas } from '../../src/media/products.ts';
import { encodeFilterClip, type FilterClip } from './support/filter-clip.ts';
import { useFolder } from './support/pool.ts';
import { readPicture } from './support/read-picture.ts';

const SIZE = 'size=640x360:rate=25';
const seconds = (clips: readonly string[]) =>
  `${clips.map((clip, index) => `${clip},format=yuv420p,setsar=1[v${index}];`).join('')}${clips.map((_, index) => `[v${index}]`).join('')}concat=n=${clips.length}`;
const SMALL = 'size=320x180:rate=25';
const LIGHTS = 'if(lt(X\\,440)\\,0\\,if(lt(X\\,540)\\,166\\,192))';
const COLOURS = ['red', 'lime', 'blue', 'white', 'yellow'] as const;

const FRAME_RATE = 25;
const CLIPS = {
  cuts: {
    filters: seconds([
      `testsrc2=${SIZE}:duration=2`,
      `mandelbrot=${SIZE},trim=duration=1.6`,
      `smptehdbars=${SIZE}:duration=0.2`,
      `testsrc=${SIZE}:duration=2.2`,
    ]),
  },
  pan: { filters: `testsrc2=size=2560x360:rate=25:duration=3,crop=640:360:x='t*600'` },
  flicker: { filters: `testsrc2=${SIZE}:duration=3,hue=b='if(mod(n\\,2)\\,2\\,0)'` },
  flashes: { filters: `testsrc2=${SIZE}:duration=3,hue=b='if(eq(n\\,30)+eq(n\\,50)\\,8\\,0)'` },
  begins: { filters: seconds([`color=black:${SIZE}:duration=2`, `testsrc2=${SIZE}:duration=2`]) },
  title: {
    filters: seconds([
      `color=black:${SMALL}:duration=2,drawgrid=w=80:h=80:t=20:color=white`,
      `gradients=${SMALL}:duration=2:c0=black:c1=white:x0=0:y0=90:x1=320:y1=90:seed=1:speed=0.00001`,
    ]),
  },
  large: { filters: `color=red:${SMALL}:duration=1`, muxer: 'mpegts' },
  small: { filters: 'color=blue:size=160x90:rate=25:duration=1,setpts=PTS+1/TB', muxer: 'mpegts' },
  uneven: { filters: `testsrc2=${SMALL}:duration=3,select='lt(t\\,1)+not(mod(n\\,5))'` },
  turned: {
    filters: `color=red:${SIZE}:duration=1,drawbox=x=320:w=320:h=360:color=blue:t=fill`,
    rotation: 90,
  },
  wide: {
    filters: 'color=red:size=1440x1080:rate=25:duration=1,setsar=4/3',
    pixelAspect: [4, 3],
  },
  // Red of the whole strength of SDR white (203 cd/m² are 0.58 of PQ), black, and lights of 400 and 1,000 cd/m².
  pq: {
    filters: `color=black:${SIZE}:duration=1,format=gbrp,geq=r='if(lt(X\\,320)\\,148\\,${LIGHTS})':g='${LIGHTS}':b='${LIGHTS}',scale=out_color_matrix=bt2020nc:out_range=tv`,
    encoder: 'libx265',
    pixelFormat: 'yuv420p10le',
    pq: true,
  },
  colours: { filters: seconds(COLOURS.map((colour) => `color=${colour}:${SIZE}:duration=1`)) },
  late: { filters: `testsrc2=${SIZE}:duration=2,setpts=PTS+30/TB`, muxer: 'mpegts' },
} as const satisfies Record<string, FilterClip>;

const inFolder = useFolder();
let made = 0;
beforeAll(async () => {
  const common = { frameRate: FRAME_RATE, crf: 18, gop: 50 };
  for (const [name, clip] of Object.entries(CLIPS))
    await encodeFilterClip(inFolder(name), {
      ...common,
      ...clip,
      filters: `${clip.filters},settb=1/${FRAME_RATE}`,
    });
});

interface Analysis {
  readonly folder: string;
  readonly outcomes: ReadonlyMap<string, ProductOutcome>;
  readonly progress: ReadonlyMap<string, readonly number[]>;
}

async function analyze(
  name: string,
  products: AnalysisWork['products'],
  options: { readonly table?: AnalyzerTable; readonly format?: 'jpeg' | 'webp' } = {},
): Promise<Analysis> {
  made += 1;
  const folder = inFolder(`made-${made}`);
  const outcomes = new Map<string, ProductOutcome>();
  const progress = new Map<string, number[]>();
  const settings = { pictureFormat: options.format ?? 'jpeg', ladder: [] };
  await runAnalysis(
    { path: inFolder(name), folder, products, settings },
    {
      onProgress: (product, fraction) => progress.set(product, [...(progress.get(product) ?? []), fraction]),
      onOutcome(outcome) {
        expect(outcomes.has(outcome.product)).toBe(false);
        outcomes.set(outcome.product, outcome);
      },
    },
    ...(options.table ? [options.table] : []),
  );
  return { folder, outcomes, progress };
}

async function scenesOf(name: string) {
  const { outcomes } = await analyze(name, ['SCENES']);
  return productSchemas.SCENES.parse(resultOf(outcomes.get('SCENES'))).scenes;
}

async function picturesOf(name: string, format: 'jpeg' | 'webp' = 'jpeg') {
  const { outcomes, folder } = await analyze(name, ['THUMBNAILS'], { format });
  const pictures = productSchemas.THUMBNAILS.parse(resultOf(outcomes.get('THUMBNAILS')));
  return { pictures, folder, poster: readPicture(join(folder, pictures.poster)) };
}

function resultOf(outcome: ProductOutcome | undefined): unknown {
  return outcome && 'result' in outcome ? outcome.result : outcome;
}

describe('scenes', () => {
  it('are what lies between cuts, to a frame, each with a picture, and none shorter than half a second', async () => {
    const scenes = await scenesOf('cuts');
    expect(scenes[0]?.start).toBe(0);
    expect(scenes.at(-1)?.end).toBeCloseTo(6, 2);
    // The bars of 0.2 seconds are no scene of their own.
    expect(scenes).toHaveLength(3);
    for (const [index, cut] of [2, 3.6].entries()) {
      expect(Math.abs((scenes[index + 1]?.start ?? 0) - cut)).toBeLessThanOrEqual(1 / FRAME_RATE + 1e-6);
      expect(scenes[index]?.end).toBe(scenes[index + 1]?.start);
    }
    expect(new Set(scenes.map(({ thumbnail }) => thumbnail)).size).toBe(3);
  });

  it('have pictures from within them', async () => {
    const { outcomes, folder } = await analyze('colours', ['SCENES']);
    const { scenes } = productSchemas.SCENES.parse(resultOf(outcomes.get('SCENES')));
    expect(scenes.map(({ start }) => start)).toEqual([0, 1, 2, 3, 4]);
    for (const [index, { thumbnail }] of scenes.entries()) {
      const picture = readPicture(join(folder, thumbnail ?? ''));
      expect([picture.width, picture.height]).toEqual([320, 180]);
      expectColour(picture.at(160, 90), COLOURS[index] ?? 'red');
    }
  });

  it.each(['pan', 'flicker', 'flashes'])('are not invented: %s', async (name) => {
    expect(await scenesOf(name)).toMatchObject([{ start: 0, thumbnail: 'scenes/scene-0001.jpg' }]);
  });
});

const RGB = {
  red: [255, 0, 0],
  lime: [0, 255, 0],
  blue: [0, 0, 255],
  white: [255, 255, 255],
  yellow: [255, 255, 0],
} as const;

function expectColour(seen: readonly number[], colour: keyof typeof RGB): void {
  for (const [index, value] of RGB[colour].entries()) {
    expect(Math.abs((seen[index] ?? -1) - value), `${seen} is ${colour}`).toBeLessThan(24);
  }
}

describe('pictures', () => {
  it('the poster of a film that begins with black is not black', async () => {
    const { poster, pictures } = await picturesOf('begins');
    expect([poster.width, poster.height]).toEqual([640, 360]);
    const pixels = [0.1, 0.3, 0.5, 0.7, 0.9].map((x) => poster.at(640 * x, 90));
    expect(Math.max(...pixels.flat())).toBeGreaterThan(100);
    expect(pictures.thumbnails).toHaveLength(4);
  });

  it('the poster has many tones where there are such pictures', async () => {
    const { poster } = await picturesOf('title');
    const levels = Array.from({ length: 30 }, (_, index) => poster.at(5 + index * 10, 5 + index * 5)[0] ?? 0);
    expect(new Set(levels.map((level) => Math.floor(level / 16))).size).toBeGreaterThan(6);
  });

  it('are of one size though the film changes its size', async () => {
    const parts = await Promise.all(['large', 'small'].map((name) => readFile(inFolder(name))));
    await writeFile(inFolder('sizes'), Buffer.concat(parts));
    const { pictures, folder } = await picturesOf('sizes');
    const seen = pictures.thumbnails.map((name) => readPicture(join(folder, name)));
    expect(seen.map(({ width, height }) => [width, height])).toEqual([
      [320, 180],
      [320, 180],
    ]);
    for (const [index, colour] of (['red', 'blue'] as const).entries())
      for (const x of [10, 160, 310]) expectColour(seen[index]?.at(x, 170) ?? [], colour);
  });

  it.each(['jpeg', 'webp'] as const)('are turned as the film is shown: %s', async (format) => {
    const { poster } = await picturesOf('turned', format);
    expect([poster.width, poster.height]).toEqual([360, 640]);
    expectColour(poster.at(180, 100), 'red');
    expectColour(poster.at(180, 540), 'blue');
  });

  it('have square pixels, and are small', async () => {
    const { poster, pictures, folder } = await picturesOf('wide');
    expect([poster.width, poster.height]).toEqual([1280, 720]);
    expectColour(poster.at(1200, 700), 'red');
    const thumbnail = readPicture(join(folder, pictures.thumbnails[0] ?? ''));
    expect([thumbnail.width, thumbnail.height]).toEqual([640, 360]);
    expectColour(thumbnail.at(600, 340), 'red');
  });

  it('of an HDR film are neither washed out nor dark', async () => {
    const { poster } = await picturesOf('pq');
    const [red, green, blue] = poster.at(160, 180);
    expect(red).toBeGreaterThan(200);
    expect(Math.max(green, blue)).toBeLessThan(90);
    expect(Math.max(...poster.at(380, 180))).toBeLessThan(24);
    // What is brighter than SDR can be is told apart still.
    const [light = 0, brighter = 0] = [490, 590].map((x) => poster.at(x, 180)[0] ?? 0);
    expect(brighter - light).toBeGreaterThan(6);
  });

  it('the storyboard shows what is shown then, without gaps', async () => {
    const { pictures, folder } = await picturesOf('colours');
    const text = await readFile(join(folder, pictures.storyboard), 'utf8');
    const cues = [...text.matchAll(/(\S+) --> (\S+)\n(\S+)#xywh=(\d+),(\d+),(\d+),(\d+)/g)];
    expect(cues).toHaveLength(5);
    for (const [index, [, start, end, name, ...box]] of cues.entries()) {
      expect(start).toBe(`00:00:0${index}.000`);
      expect(end).toBe(`00:00:0${index + 1}.000`);
      const [x = 0, y = 0, width = 0, height = 0] = box.map(Number);
      expect([width, height]).toEqual([160, 90]);
      const sprite = readPicture(join(folder, 'pictures', name ?? ''));
      expectColour(sprite.at(x + width / 2, y + height / 2), COLOURS[index] ?? 'red');
    }
  });
});

describe('a pass', () => {
  const seen: number[] = [];
  const table = {
    FINGERPRINT: () => ({
      product: 'FINGERPRINT',
      branches: [{ filters: 'scale=32:32', onFrame: (_frame, at) => void seen.push(at) }],
      finish: () => ({ frames: [] }),
    }),
    QUALITY: () => ({
      product: 'QUALITY',
      branches: [
        {
          filters: 'scale=32:32',
          onFrame(_frame, at) {
            if (at > 0.5) throw new Error('a fault');
          },
        },
      ],
      finish: () => ({ overall: 0, metrics: [] }),
    }),
    SCAN_TYPE: () => ({
      product: 'SCAN_TYPE',
      branches: [{ filters: 'no_such_filter', onFrame() {} }],
      finish: () => ({ scanType: 'UNKNOWN' }),
    }),
  } satisfies AnalyzerTable;

  it('gives each analyzer every picture, also when another one fails', async () => {
    seen.length = 0;
    const { outcomes, progress } = await analyze('late', ['QUALITY', 'FINGERPRINT', 'SCAN_TYPE'], { table });
    expect(outcomes.get('FINGERPRINT')).toEqual({ product: 'FINGERPRINT', result: { frames: [] } });
    expect(outcomes.get('QUALITY')).toMatchObject({ error: { code: 'PROCESSING_CRASHED' } });
    expect(outcomes.get('SCAN_TYPE')).toMatchObject({ error: { code: 'PROCESSING_CRASHED' } });
    // The file's own clock begins at 30 seconds.
    expect(seen).toHaveLength(2 * FRAME_RATE);
    for (const [index, at] of seen.entries()) expect(at).toBeCloseTo(index / FRAME_RATE, 3);
    expect(progress.get('FINGERPRINT')?.at(-1)).toBe(1);
    expect(progress.get('QUALITY')?.at(-1) ?? 0).toBeLessThan(1);
  });

  it('tells when each picture is shown where a film has them at uneven times', async () => {
    seen.length = 0;
    await analyze('uneven', ['FINGERPRINT'], { table });
    const expected = Array.from({ length: 75 }, (_, index) => index).filter(
      (index) => index < FRAME_RATE || index % 5 === 0,
    );
    expect(seen.map((at) => Math.round(at * FRAME_RATE * 1000) / 1000)).toEqual(expected);
  });

  it('shows nobody a picture that was patched up', async () => {
    const bytes = await readFile(inFolder('cuts'));
    // Inside of pictures, whose other parts can be decoded still.
    for (let at = bytes.length * 0.3; at < bytes.length * 0.5; at += 6000)
      bytes.fill(0, Math.floor(at), Math.floor(at) + 200);
    await writeFile(inFolder('patched'), bytes);
    seen.length = 0;
    await analyze('patched', ['FINGERPRINT'], { table });
    expect(seen.length).toBeGreaterThan(100);
    // Of 150, more than twenty were hit, and FFmpeg hands out each of them all the same.
    expect(seen.length).toBeLessThan(140);
  });

  it('leaves out what is damaged in the middle', async () => {
    const bytes = await readFile(inFolder('cuts'));
    // The first third of the pictures' data ends about here, and the table of samples is behind all of it.
    bytes.fill(0xff, Math.floor(bytes.length * 0.3), Math.floor(bytes.length * 0.5));
    await writeFile(inFolder('damaged'), bytes);
    seen.length = 0;
    const { outcomes } = await analyze('damaged', ['FINGERPRINT', 'THUMBNAILS', 'SCENES'], {
      table: {
        ...ANALYZERS,
        FINGERPRINT: table.FINGERPRINT,
      },
    });
    productSchemas.THUMBNAILS.parse(resultOf(outcomes.get('THUMBNAILS')));
    productSchemas.SCENES.parse(resultOf(outcomes.get('SCENES')));
    expect(seen.length).toBeLessThan(6 * FRAME_RATE);
    expect(seen.length).toBeGreaterThan(FRAME_RATE);
    expect(seen.at(-1)).toBeGreaterThan(5.5);
  });

  it('tells each product why a file cannot be read', async () => {
    await writeFile(inFolder('nothing'), '');
    const { outcomes } = await analyze('nothing', ['THUMBNAILS', 'SCENES']);
    expect([...outcomes.values()]).toMatchObject([
      { product: 'THUMBNAILS', error: { code: 'VIDEO_FILE_BROKEN' } },
      { product: 'SCENES', error: { code: 'VIDEO_FILE_BROKEN' } },
    ]);
  });

  it('throws what is no fault of the file', async () => {
    await expect(analyze('not-there', ['SCENES'])).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
