import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { clipFileName, makeClips } from '../../dist/demo/clips.js';

const MEGABYTES = [1, 2.5, 5, 7.5, 10];
const SECONDS = 8;
const SHAPES = {
  'index-behind': { container: 'mp4' },
  'index-first': { container: 'mp4', muxerOptions: { movflags: '+faststart' } },
  quicktime: { container: 'mov' },
  matroska: { container: 'mkv' },
  webm: { container: 'webm', videoCodec: 'vp8', audioCodec: 'vorbis' },
  stream: { container: 'ts' },
};

/**
 * Encodes clips of several containers and sizes, from one to ten MB; those that the folder has already are kept.
 * @returns their paths
 */
export async function makeBenchClips(folder, onMade) {
  await mkdir(folder, { recursive: true });
  const specs = MEGABYTES.flatMap((megabytes, seed) =>
    Object.entries(SHAPES).map(([shape, spec]) => ({
      ...spec,
      name: `${shape}-${megabytes}`,
      ...(megabytes > 5 ? { width: 1280, height: 720 } : { width: 854, height: 480 }),
      seconds: SECONDS,
      bitrate: Math.round((megabytes * 8e6) / SECONDS - 128_000),
      seed: seed + 1,
    })),
  );
  const isThere = (path) => stat(path).catch(() => null);
  const known = await Promise.all(specs.map((spec) => isThere(join(folder, clipFileName(spec)))));
  const missing = specs.filter((_, at) => known[at] === null);
  if (missing.length > 0) await makeClips(missing, folder, { onMade });
  return specs.map((spec) => join(folder, clipFileName(spec)));
}

/** The bytes of a clip as a file of its own: what the container takes for padding stands behind it. */
export function withMark(clip, extension, n) {
  const mark = Buffer.alloc(16);
  mark.writeUInt32BE(n, 0);
  return Buffer.concat([clip, paddingOf(extension, mark)]);
}

function paddingOf(extension, mark) {
  // A null packet, a void element, a free box.
  if (extension === 'ts') return Buffer.concat([Buffer.from([0x47, 0x1f, 0xff, 0x10]), mark], 188);
  if (extension === 'mkv' || extension === 'webm')
    return Buffer.concat([Buffer.from([0xec, 0x80 | mark.length]), mark]);
  const head = Buffer.from('\0\0\0\0free', 'latin1');
  head.writeUInt32BE(head.length + mark.length, 0);
  return Buffer.concat([head, mark]);
}

/** The size of each file, in bytes. */
export const sizesOf = (paths) => Promise.all(paths.map(async (path) => (await stat(path)).size));
