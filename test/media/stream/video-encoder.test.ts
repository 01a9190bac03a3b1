import { expect, it } from 'vitest';
import { makeClip } from '../../../src/demo/clips.ts';
import { withOpenVideoFile } from '../../../src/media/demux.ts';
import { openVideoEncoder } from '../../../src/media/stream/video-encoder.ts';
import { useFolder } from '../support/pool.ts';

const inFolder = useFolder();

it('has few threads, however many cores there are, for each holds pictures', async () => {
  const path = inFolder('clip.mp4');
  await makeClip({ width: 320, height: 180, seconds: 1 }, path);
  const threads = await withOpenVideoFile(path, async ({ stream }) => {
    const context = openVideoEncoder({ stream, size: { width: 320, height: 180 }, wasHdr: false });
    const { threadCount } = context;
    context.freeContext();
    return threadCount;
  });
  // 0 would leave it to the encoder.
  expect(threads).toBeGreaterThan(0);
  expect(threads).toBeLessThanOrEqual(4);
});
