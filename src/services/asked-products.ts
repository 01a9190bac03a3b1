import { type AnalyzerName, PRODUCT_NAMES, type ProductName } from '../db/tables/products.ts';

/** What is asked for when a video is brought in, or indexed again. */
export interface AskedProducts {
  readonly fullIngestion: boolean;
  readonly enableVideoStream: boolean;
}

/** What is to be made of a video, in the order of its stages. @param analyzers those of its index */
export function askedProducts(
  { fullIngestion, enableVideoStream }: AskedProducts,
  analyzers: readonly AnalyzerName[],
): readonly ProductName[] {
  return PRODUCT_NAMES.filter((product) =>
    product === 'STREAM' ? fullIngestion || enableVideoStream : fullIngestion && analyzers.includes(product),
  );
}
