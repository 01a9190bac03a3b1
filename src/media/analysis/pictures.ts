import { broken } from '../errors.ts';
import type { CreateAnalyzer } from './analyzer.ts';
import { createBestPictures } from './best-pictures.ts';
import { createStoryboard } from './storyboard.ts';

/** Makes a poster, thumbnails and a storyboard: pictures as they are shown, turned, square and SDR. */
export const createPicturesAnalyzer: CreateAnalyzer<'THUMBNAILS'> = (options) => {
  const best = createBestPictures(options);
  const storyboard = createStoryboard(options);
  return {
    product: 'THUMBNAILS',
    branches: [best.branch, storyboard.branch],
    async finish() {
      const { poster, thumbnails } = await best.finish();
      if (poster === null) throw broken('none of its pictures can be decoded');
      return { poster, thumbnails: [...thumbnails], storyboard: await storyboard.finish() };
    },
  };
};
