import { execFile } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';

const AT_ONCE = 8;
const run = promisify(execFile);

/** The first line that ffprobe says of itself; null where there is none. FFPROBE names another one than that of the PATH. */
export const ffprobeVersion = () =>
  run(FFPROBE, ['-version']).then(
    ({ stdout }) => stdout.split('\n')[0].replace(/ Copyright.*/, ''),
    () => null,
  );

const FFPROBE = process.env.FFPROBE ?? 'ffprobe';

/**
 * Fetches each object to the disk and has ffprobe look at it there, as a script would.
 * @param atOnce how many files
 * @returns seconds
 */
export async function downloadAndProbe(store, keys, atOnce = AT_ONCE) {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-peer-'));
  const { endpoint, accessKeyId, secretAccessKey } = store;
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
  try {
    const fetchAndProbe = async (key) => {
      const path = join(folder, key.replaceAll('/', '-'));
      const { Body } = await client.send(new GetObjectCommand({ Bucket: 'clips', Key: key }));
      await pipeline(Body, createWriteStream(path));
      await probe(path);
      await rm(path);
    };
    return await timed(keys, fetchAndProbe, atOnce);
  } finally {
    client.destroy();
    await rm(folder, { recursive: true });
  }
}

/** Has ffprobe read each object over HTTP. The bucket is open, so that it needs no signature. @returns seconds */
export const probeUrls = (store, keys) => timed(keys, (key) => probe(`${store.endpoint}/open-clips/${key}`));

async function probe(input) {
  const { stdout } = await run(FFPROBE, [
    '-v',
    'error',
    '-show_format',
    '-show_streams',
    '-of',
    'json',
    input,
  ]);
  const { streams, format } = JSON.parse(stdout);
  if (!streams.some(({ width }) => width > 0) || !(Number(format.duration) > 0))
    throw new Error(`ffprobe says nothing of ${input}`);
}

async function timed(keys, work, atOnce = AT_ONCE) {
  const waiting = [...keys];
  const begin = performance.now();
  const worker = async () => {
    for (let key = waiting.shift(); key !== undefined; key = waiting.shift()) await work(key);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return (performance.now() - begin) / 1000;
}
