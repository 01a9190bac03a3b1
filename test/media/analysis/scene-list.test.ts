import { readdir } from 'node:fs/promises';
import { AV_LOG_QUIET } from 'node-av/constants';
import { Log } from 'node-av/lib';
import { expect, it } from 'vitest';
import { createSceneList } from '../../../src/media/analysis/scene-list.ts';
import { blankStill } from '../../../src/media/analysis/still.ts';
import { useFolder } from '../support/pool.ts';

const inFolder = useFolder();
const MOST = 1000;
const WEAK = [3, 500, 501, 1003];

it('of more than 1,000 scenes the cuts that show least are given up, and the pictures behind them', async () => {
  Log.setLevel(AV_LOG_QUIET);
  const [folder, count] = [inFolder('scenes-of-many'), MOST + WEAK.length];
  const list = createSceneList({ duration: count, files: { folder, format: 'jpeg' } });
  const still = blankStill({ width: 16, height: 16 });
  for (let at = 0; at < count; at += 1) {
    if (at > 0) await list.cut({ at, strength: WEAK.includes(at) ? 10 : 20 + (at % 7) });
    list.offer(still, at);
  }
  const { scenes } = await list.finish();
  const starts = Array.from({ length: count }, (_, at) => at).filter((at) => !WEAK.includes(at));
  expect(scenes.map(({ start }) => start)).toEqual(starts);
  expect(scenes.map(({ end }) => end)).toEqual([...starts.slice(1), count]);
  const named = scenes.map(({ thumbnail }) => thumbnail?.slice('scenes/'.length));
  expect((await readdir(`${folder}/scenes`)).sort()).toEqual(named);
});
