import { readFile } from 'node:fs/promises';
import { startS3 } from '../../test/support/s3.ts';
import { withMark } from './clips.mjs';

/**
 * The S3 double as a process of its own, so that what it takes is not ours: answers its parent's messages, one by one,
 * and ends with it. Started with `--import ./typescript.mjs`.
 */
const double = await startS3({ latencyMs: Number(process.argv[2]) });
/** A request for all of an object is one of a transfer: planning asks for parts. */
const isTransfer = ({ operation, headers }) => operation === 'GetObject' && headers.range === undefined;

let release = () => {};

const ACTIONS = {
  /** Every object is one of the files with a mark of its own; in two buckets, of which anybody may read the second. */
  async fillWithClips({ files, count }) {
    double.createBucket('clips');
    double.createBucket('open-clips', { public: true });
    const clips = await Promise.all(files.map((path) => readFile(path)));
    for (let n = 0; n < count; n += 1) {
      const extension = files[n % files.length].split('.').at(-1);
      const body = withMark(clips[n % files.length], extension, n);
      const folder = n < 20 ? 'warm-up' : 'library';
      const key = `${folder}/${String(n).padStart(4, '0')}.${extension}`;
      double.put('clips', key, body);
      double.put('open-clips', key, body);
    }
  },
  /** One object in a hundred is this file; of the others a listing tells that they are none. */
  async fillVirtually({ file, count }) {
    double.createBucket('many');
    const clip = await readFile(file);
    double.fill('many', count, (n) => virtualObject(n, clip));
  },
  /** While they are held, transfers are asked for in vain: what planning takes is seen by itself. */
  holdTransfers({ held }) {
    release();
    if (held) release = double.script((request) => (isTransfer(request) ? { hang: true } : undefined));
  },
  setLatency: ({ ms }) => {
    double.latencyMs = ms;
  },
  startCounting: () => {
    double.requests.length = 0;
  },
  /** What was answered since the counting began: transfers that are held are not. */
  count() {
    const counted = double.requests.filter(({ status }) => status > 0);
    const of = (operation) => counted.filter((request) => request.operation === operation);
    const bytes = (requests) => requests.reduce((sum, { bytesSent }) => sum + bytesSent, 0);
    const gets = of('GetObject');
    const perKey = new Map();
    for (const { key } of gets) perKey.set(key, (perKey.get(key) ?? 0) + 1);
    return {
      gets: gets.length,
      getBytes: bytes(gets),
      keys: perKey.size,
      mostGets: Math.max(0, ...perKey.values()),
      lists: of('ListObjectsV2').length,
      requests: counted.length,
      bytes: bytes(counted),
    };
  },
};

function virtualObject(n, clip) {
  const name = `folder-${String(Math.floor(n / 1000)).padStart(4, '0')}/${String(n).padStart(7, '0')}`;
  if (n % 100 === 50) return { key: `${name}.mp4`, size: clip.length, body: () => clip };
  if (n % 3 === 0) return { key: `${name}.mp4`, size: 0 };
  if (n % 3 === 1) return { key: `${name}.mov`, size: 3 * 1024 ** 3 + n };
  return { key: `${name}/`, size: 0 };
}

process.on('message', async ({ action, ...given }) => {
  try {
    process.send({ result: (await ACTIONS[action](given)) ?? null });
  } catch (error) {
    process.send({ error: error.stack });
  }
});
process.on('disconnect', () => process.exit(0));
const { endpoint, accessKeyId, secretAccessKey } = double;
process.send({ result: { endpoint, accessKeyId, secretAccessKey } });
