import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { beforeAll, describe, expect, it } from 'vitest';
import { makeClip } from '../../src/demo/clips.ts';
import { appendToIndex, box, findBox, patchBox, replaceBox, words } from './support/mp4-surgery.ts';
import { outcomeOf, unaborted, useFolder, usePool } from './support/pool.ts';
import { readerOf } from './support/readers.ts';

const BROKEN = 'VIDEO_FILE_BROKEN';
const UNSUPPORTED = 'UNSUPPORTED_MEDIA_TYPE';
const MIB = 1024 * 1024;

const pool = usePool({ size: 1 });
const inFolder = useFolder();
let sound: Buffer;
beforeAll(async () => {
  await mkdir(inFolder('clips'));
  await makeClip({ seconds: 2 }, inFolder('clips/sound.mp4'));
  sound = await readFile(inFolder('clips/sound.mp4'));
});

/** What a file of these bytes ends as, on disk and elsewhere; both must agree. */
async function verdictOn(bytes: Buffer | string, name = 'video.mp4'): Promise<unknown> {
  const path = inFolder(name);
  await writeFile(path, bytes);
  const here = await outcomeOf(pool.probeFile(path, { signal: unaborted() }));
  const there = await outcomeOf(pool.probeRemote(await readerOf(path), { signal: unaborted() }));
  expect(there).toEqual(here);
  return here;
}

/** `verdictOn`, and the child that read the file is still the same and as small as it was. */
async function harmlessVerdictOn(bytes: Buffer): Promise<unknown> {
  const child = pool.pids();
  const before = process.memoryUsage.rss();
  const verdict = await verdictOn(bytes);
  expect(process.memoryUsage.rss() - before).toBeLessThan(100 * MIB);
  expect(pool.pids()).toEqual(child);
  return verdict;
}

const isSensible = (seconds: number): boolean => seconds > 0 && seconds < 10;

const nested = (depth: number): Buffer => {
  let inner: Buffer = Buffer.alloc(0);
  for (let level = 0; level < depth; level++) inner = box('moov', inner);
  return inner;
};

describe('an MP4 that lies', () => {
  it('is the clip that all others are made of, when it does not', async () => {
    expect(await verdictOn(sound)).toMatchObject({ width: 640, height: 360, container: 'mp4' });
  });

  it('about the number of keys in a protection header', async () => {
    const pssh = box('pssh', words(0x01000000), Buffer.alloc(16), words(0x0fffffff, 0));
    expect(await harmlessVerdictOn(appendToIndex(sound, pssh))).toBe(BROKEN);
  });

  it('about the number of its samples', async () => {
    const samples = box('stsz', words(0, 1, 0x7fffffff));
    const times = box('stts', words(0, 1, 0x7fffffff, 1));
    const chunks = box('stsc', words(0, 1, 1, 0x7fffffff, 1));
    let file = replaceBox(sound, 'stsz', samples);
    file = replaceBox(file, 'stts', times);
    expect(await harmlessVerdictOn(replaceBox(file, 'stsc', chunks))).toBe(BROKEN);
    expect(await harmlessVerdictOn(replaceBox(sound, 'stsz', box('stsz', words(0, 0, 0x0fffffff))))).toBe(
      BROKEN,
    );
  });

  it('by 20,000 boxes in each other', async () => {
    const { at } = findBox(sound, 'moov');
    expect(await harmlessVerdictOn(Buffer.concat([sound.subarray(0, at), nested(20_000)]))).toBe(BROKEN);
  });

  it('about where it begins to play, in 2^63 units', async () => {
    const edit = Buffer.from('0000000000000fa07fffffffffffffff00010000', 'hex');
    const elst = box('elst', words(0x01000000, 1), edit);
    expect(await harmlessVerdictOn(replaceBox(sound, 'elst', elst))).toBe(BROKEN);
  });

  it('about a picture of 65535x65535', async () => {
    const { at } = findBox(sound, 'stsd');
    // The first sample entry begins 16 bytes into the box, its width 32 bytes into the entry.
    const file = Buffer.from(sound);
    file.writeUInt32BE(0xffffffff, at + 16 + 32);
    const started = performance.now();
    expect(await harmlessVerdictOn(file)).toBe(BROKEN);
    expect(performance.now() - started).toBeLessThan(20_000);
  });

  it('about how long each picture is shown', async () => {
    const lie = patchBox(sound, 'stts', { offset: 20, bytes: words(0xfffffffe) });
    expect(await harmlessVerdictOn(lie)).toMatchObject({
      duration: expect.toSatisfy(isSensible),
      frameRate: null,
    });
  });

  it('about how long it is as a whole', async () => {
    const lie = patchBox(sound, 'mdhd', { offset: 24, bytes: words(0xfffffffe) });
    expect(await harmlessVerdictOn(lie)).toMatchObject({ duration: expect.toSatisfy(isSensible) });
  });

  it('about having an index', async () => {
    expect(await harmlessVerdictOn(sound.subarray(0, findBox(sound, 'moov').at))).toBe(BROKEN);
  });

  it('about having its media', async () => {
    const media = findBox(sound, 'mdat');
    const index = sound.subarray(media.at + media.size);
    expect(await harmlessVerdictOn(Buffer.concat([sound.subarray(0, media.at), index]))).toBe(BROKEN);
  });

  it('about its media, which are all zeros', async () => {
    const { at, size } = findBox(sound, 'mdat');
    const file = Buffer.from(sound);
    file.fill(0, at + 8, at + size);
    expect(await harmlessVerdictOn(file)).toBe(BROKEN);
  });
});

describe('an encrypted MP4', () => {
  it('is broken, though FFmpeg decodes pictures of it', async () => {
    await makeClip(
      {
        seconds: 2,
        muxerOptions: {
          encryption_scheme: 'cenc-aes-ctr',
          encryption_key: '76a6c65c5ea762046bd749a2e632ccbb',
          encryption_kid: 'a7e61c373e219033c21091fa607bf3b8',
        },
      },
      inFolder('clips/encrypted.mp4'),
    );
    expect(await verdictOn(await readFile(inFolder('clips/encrypted.mp4')))).toBe(BROKEN);
  });
});

describe('a file that names others', () => {
  let server: Server;
  let connections = 0;
  beforeAll(async () => {
    server = createServer((socket) => {
      connections++;
      socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return () => server.close();
  });
  const address = (): string => {
    const at = server.address();
    return typeof at === 'object' && at ? `http://127.0.0.1:${at.port}/video.mp4` : '';
  };

  it.each([
    [
      'a playlist',
      (target: string) => `#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n${target}\n#EXT-X-ENDLIST\n`,
    ],
    ['a script', (target: string) => `ffconcat version 1.0\nfile '${target}'\n`],
    [
      'a manifest',
      (target: string) =>
        `<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-live:2011" type="static"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>${target}</BaseURL></Representation></AdaptationSet></Period></MPD>`,
    ],
    [
      'a session',
      (target: string) =>
        `v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\na=control:${target}\n`,
    ],
  ])('is no video and opens none of them: %s', async (_what, text) => {
    await writeFile(inFolder('neighbour.mp4'), sound);
    for (const target of [address(), 'neighbour.mp4', `file://${inFolder('neighbour.mp4')}`, '/etc/passwd']) {
      expect(await verdictOn(text(target))).toBe(UNSUPPORTED);
    }
    expect(connections).toBe(0);
  });

  it('is judged by what it holds itself: an MP4 whose samples lie elsewhere', async () => {
    const url = box('url ', words(0), Buffer.from(`${address()}\0`));
    const dref = box('dinf', box('dref', words(0, 1), url));
    const file = replaceBox(sound, 'dinf', dref);
    expect(await verdictOn(file)).toMatchObject({ duration: 2 });
    const { at, size } = findBox(file, 'mdat');
    expect(await verdictOn(Buffer.from(file).fill(0, at + 8, at + size))).toBe(BROKEN);
    expect(connections).toBe(0);
  });
});

describe('what is no video', () => {
  it.each([
    ['nothing', '', BROKEN],
    ['text', 'a plain text, long enough to be looked at as a file of its own kind\n'.repeat(20), UNSUPPORTED],
    [
      'data',
      JSON.stringify({ streams: [{ width: 640, height: 360 }], format: { duration: '8' } }),
      UNSUPPORTED,
    ],
    ['a page', '<!doctype html><html><body><video src="/etc/passwd"></video></body></html>', UNSUPPORTED],
    ['zeros', Buffer.alloc(100_000), UNSUPPORTED],
    ['the first bytes of a video', Buffer.from('0000001c667479706d703432', 'hex'), BROKEN],
  ])('ends with a verdict: %s', async (_what, bytes, code) => {
    expect(await verdictOn(bytes)).toBe(code);
  });
});
