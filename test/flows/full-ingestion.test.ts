import { expect, onTestFinished, test } from 'vitest';
import { createProducer, statesOf } from './product-tasks.ts';
import { startProvingGround } from './proving-ground.ts';

test('a clip is analyzed and made into HLS by real media work, and all of it is served', async () => {
  const ground = await startProvingGround();
  onTestFinished(() => ground.stop());
  const producer = createProducer(ground.client);
  await ground.prove(async () => {
    const url = ground.origin.put({ bytes: ground.freshContent() });
    const task = await producer.create({ from: { url }, fullIngestion: true });
    const states = await producer.follow(task.id);
    const end = states.at(-1);
    expect(end?.stages.filter(({ error }) => error !== null)).toEqual([]);
    expect(end).toMatchObject({ status: 'READY', hls: { status: 'COMPLETE' } });
    expect(end && Object.values(statesOf(end))).toEqual(Array(8).fill('DONE'));
    const { video } = end ?? {};
    const urls = [
      video?.posterUrl,
      video?.storyboardUrl,
      video?.hls?.videoUrl,
      ...(video?.hls?.thumbnailUrls ?? []),
      ...(video?.scenes ?? []).flatMap(({ thumbnailUrl }) => thumbnailUrl ?? []),
    ];
    expect(urls.length).toBeGreaterThan(4);
    for (const each of urls) expect((await fetch(each ?? '')).status, each ?? '').toBe(200);
    expect(await (await fetch(video?.hls?.videoUrl ?? '')).text()).toContain('#EXTM3U');
    expect(video?.quality?.overall).toBeGreaterThan(0);
    expect(video?.scanType).not.toBeNull();
  });
});
