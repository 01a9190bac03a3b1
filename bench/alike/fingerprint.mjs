import { runAnalysis } from '../../dist/media/analysis/run-analysis.js';

/**
 * What the pictures of a file look like.
 * @param folder where nothing is written
 */
export async function fingerprintOf(path, folder) {
  let outcome;
  await runAnalysis(
    { path, folder, settings: { pictureFormat: 'jpeg', ladder: [] }, products: ['FINGERPRINT'] },
    {
      onProgress() {},
      onOutcome(ended) {
        outcome = ended;
      },
    },
  );
  if (outcome?.result === undefined) throw new Error(`${path}: ${outcome?.error?.message}`);
  return outcome.result;
}
