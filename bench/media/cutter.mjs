// A process that makes HLS of files when it is told to: by our cut, or by mediabunny. Answers with seconds and milliseconds of CPU.
import { mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { cutMp4 } from '../../dist/media/stream/cut-mp4.js';
import { readMp4 } from '../../dist/media/stream/mp4.js';

// mediabunny's HLS muxer can reject a promise that nobody awaits when two tracks end, after its files are complete.
process.on('unhandledRejection', (error) => {
  if (!/Assertion failed/.test(error.message)) throw error;
});

const WAYS = { sluice: cutByUs, mediabunny: cutByMediabunny };

process.on('message', async ({ way, path, folder, segmentSeconds }) => {
  const [cpu, begin] = [process.cpuUsage(), performance.now()];
  await WAYS[way]({ path, folder, segmentSeconds });
  const seconds = (performance.now() - begin) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const all = process.cpuUsage();
  process.send({ seconds, cpu: (user + system) / 1000, cpuOfProcess: (all.user + all.system) / 1000 });
});

async function cutByUs({ path, folder, segmentSeconds }) {
  const handle = await open(path);
  try {
    const mp4 = await readMp4(handle);
    const tracks = mp4.tracks.map((track) => ({ track, name: track.kind }));
    await cutMp4({ mp4, handle, folder, tracks, segmentSeconds });
  } finally {
    await handle.close();
  }
}

async function cutByMediabunny({ path, folder, segmentSeconds }) {
  const bunny = await import('mediabunny');
  const input = new bunny.Input({ formats: [bunny.MP4], source: new bunny.FilePathSource(path) });
  const format = new bunny.HlsOutputFormat({
    segmentFormat: new bunny.CmafOutputFormat(),
    targetDuration: segmentSeconds,
  });
  const target = new bunny.PathedTarget(join(folder, 'main.m3u8'), async ({ path: file }) => {
    await mkdir(dirname(file), { recursive: true });
    return new bunny.FilePathTarget(file);
  });
  const output = new bunny.Output({ format, target });
  const conversion = await bunny.Conversion.init({ input, output });
  if (!conversion.isValid) throw new Error('mediabunny does not take the file');
  await conversion.execute();
  input.dispose();
}
