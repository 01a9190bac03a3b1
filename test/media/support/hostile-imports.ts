import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeClips } from '../../../src/demo/clips.ts';
import { appendToIndex, box, findBox, patchBox, replaceBox, words } from './mp4-surgery.ts';

const BROKEN = 'VIDEO_FILE_BROKEN';
const UNSUPPORTED = 'UNSUPPORTED_MEDIA_TYPE';
const READY = 'READY';

export interface HostileImport {
  readonly bytes: Buffer;
  /** READY, or the code that it must end with. */
  readonly expected: string;
}

interface Sound {
  readonly sound: Buffer;
  readonly other: Buffer;
  readonly encrypted: Buffer;
}

/**
 * Files that lie, and two that do not, by name.
 * @param target what those that name another file point at
 */
export async function makeHostileFiles(target: string): Promise<Readonly<Record<string, HostileImport>>> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-hostile-'));
  try {
    const paths = await makeClips(
      [
        { name: 'sound' },
        { name: 'other', container: 'webm', videoCodec: 'vp8', audioCodec: 'vorbis', seed: 2 },
        {
          name: 'encrypted',
          muxerOptions: {
            encryption_scheme: 'cenc-aes-ctr',
            encryption_key: '76a6c65c5ea762046bd749a2e632ccbb',
            encryption_kid: 'a7e61c373e219033c21091fa607bf3b8',
          },
        },
      ],
      folder,
    );
    const read = (name: string) => readFile(paths.get(name) ?? '');
    const [sound, other, encrypted] = [await read('sound'), await read('other'), await read('encrypted')];
    return spoil({ sound, other, encrypted }, target);
  } finally {
    await rm(folder, { recursive: true });
  }
}

function nested(depth: number): Buffer {
  let inner: Buffer = Buffer.alloc(0);
  for (let level = 0; level < depth; level++) inner = box('moov', inner);
  return inner;
}

/** An MP4 whose tables speak of 2^31 samples, in 12 bytes each. */
function manySamples(sound: Buffer): Buffer {
  let file = replaceBox(sound, 'stsz', box('stsz', words(0, 1, 0x7fffffff)));
  file = replaceBox(file, 'stts', box('stts', words(0, 1, 0x7fffffff, 1)));
  return replaceBox(file, 'stsc', box('stsc', words(0, 1, 1, 0x7fffffff, 1)));
}

function largePicture(sound: Buffer): Buffer {
  // The first sample entry begins 16 bytes into the box, its width 32 bytes into the entry.
  return patchBox(sound, 'stsd', { offset: 16 + 32, bytes: words(0xffffffff) });
}

function spoil({ sound, other, encrypted }: Sound, target: string): Record<string, HostileImport> {
  const edit = Buffer.from('0000000000000fa07fffffffffffffff00010000', 'hex');
  const protection = box('pssh', words(0x01000000), Buffer.alloc(16), words(0x0fffffff, 0));
  const media = findBox(sound, 'mdat');
  const index = findBox(sound, 'moov').at;
  const text = (content: string): HostileImport => ({ bytes: Buffer.from(content), expected: UNSUPPORTED });
  const broken = (bytes: Buffer): HostileImport => ({ bytes, expected: BROKEN });
  const playlist = (uri: string) =>
    text(`#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n${uri}\n#EXT-X-ENDLIST\n`);
  const script = (uri: string) => text(`ffconcat version 1.0\nfile '${uri}'\n`);
  return {
    'keys.mp4': broken(appendToIndex(sound, protection)),
    'samples.mp4': broken(manySamples(sound)),
    'edit.mp4': broken(replaceBox(sound, 'elst', box('elst', words(0x01000000, 1), edit))),
    'picture.mp4': broken(largePicture(sound)),
    'nested.mp4': broken(Buffer.concat([sound.subarray(0, index), nested(20_000)])),
    'no-index.mp4': broken(sound.subarray(0, index)),
    'half-media.mp4': broken(sound.subarray(0, media.at + media.size / 2)),
    'no-media.mp4': broken(Buffer.from(sound).fill(0, media.at + 8, media.at + media.size)),
    'encrypted.mp4': broken(encrypted),
    'empty.mp4': broken(Buffer.alloc(0)),
    'list-neighbour.mp4': playlist('good.mp4'),
    'list-port.mp4': playlist(target),
    'list-file.mp4': playlist('file:///etc/passwd'),
    'script-neighbour.mp4': script('good.mp4'),
    'script-port.mp4': script(target),
    'text.mp4': text('a plain text that says it is a video\n'.repeat(40)),
    'zeros.mp4': { bytes: Buffer.alloc(100_000), expected: UNSUPPORTED },
    'good.mp4': { bytes: sound, expected: READY },
    'good.webm': { bytes: other, expected: READY },
  };
}
