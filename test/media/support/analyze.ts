import { dirname } from 'node:path';
import type { AnalysisProduct } from '../../../src/media/analysis/analyzers.ts';
import { runAnalysis } from '../../../src/media/analysis/run-analysis.ts';
import type { ProductOutcome, ProductResults } from '../../../src/media/products.ts';

/**
 * Makes one product of a file, in this process.
 * @throws when it cannot be made
 */
export async function analyze<P extends AnalysisProduct>(
  path: string,
  product: P,
): Promise<ProductResults[P]> {
  const outcomes: ProductOutcome[] = [];
  await runAnalysis(
    {
      path,
      folder: dirname(path),
      settings: { pictureFormat: 'jpeg', ladder: [] },
      products: [product],
    },
    { onProgress() {}, onOutcome: (outcome) => outcomes.push(outcome) },
  );
  const [outcome, ...others] = outcomes;
  if (outcome?.product !== product || others.length > 0) throw new Error(`no outcome of ${product} alone`);
  if ('error' in outcome) throw new Error(outcome.error.message);
  return outcome.result as ProductResults[P]; // of the product that was asked for
}
