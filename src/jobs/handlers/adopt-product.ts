import { dirname, join } from 'node:path';
import type { Product, ProductOutcome, ProductResults } from '../../media/products.ts';
import type { Storage } from '../../storage/adapter.ts';

/** The product of an outcome that is none of an error. */
type Result = Extract<ProductOutcome, { readonly result: unknown }>;

/**
 * Moves the files of a product into the storage.
 * @param options.folder where it was made
 * @param options.prefix what the files are kept below
 * @returns the result, which names the prefix where there are files
 * @throws {StorageError}
 */
export async function adoptProduct(
  storage: Storage,
  outcome: Result,
  { folder, prefix }: { readonly folder: string; readonly prefix: string },
): Promise<ProductResults[Product] & { readonly prefix?: string }> {
  const file = fileOf(outcome);
  if (file !== null) {
    const below = dirname(file);
    await storage.adoptFolder(join(folder, below), `${prefix}/${below}`);
  }
  return hasFiles(outcome) ? { ...outcome.result, prefix } : outcome.result;
}

const hasFiles = ({ product }: Result) =>
  product === 'THUMBNAILS' || product === 'STREAM' || product === 'SCENES';

/** One of the files of a product, all of which lie in one folder; null where there are none. */
function fileOf(outcome: Result): string | null {
  switch (outcome.product) {
    case 'THUMBNAILS':
      return outcome.result.poster;
    case 'STREAM':
      return outcome.result.playlist;
    case 'SCENES':
      return outcome.result.scenes.find(({ thumbnail }) => thumbnail !== null)?.thumbnail ?? null;
    default:
      return null;
  }
}
