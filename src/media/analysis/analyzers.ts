import type { Product } from '../products.ts';
import type { CreateAnalyzer } from './analyzer.ts';
import { createFingerprintAnalyzer } from './fingerprint.ts';
import { createPicturesAnalyzer } from './pictures.ts';
import { createQualityAnalyzer } from './quality.ts';
import { createScanTypeAnalyzer } from './scan-type.ts';
import { createScenesAnalyzer } from './scenes.ts';

/** What is made of decoded pictures. */
export type AnalysisProduct = Exclude<Product, 'STREAM'>;

/** Who makes which product. */
export type AnalyzerTable = { readonly [P in AnalysisProduct]?: CreateAnalyzer<P> };

/** All analyzers that there are. */
export const ANALYZERS: Required<AnalyzerTable> = {
  THUMBNAILS: createPicturesAnalyzer,
  SCENES: createScenesAnalyzer,
  FINGERPRINT: createFingerprintAnalyzer,
  QUALITY: createQualityAnalyzer,
  SCAN_TYPE: createScanTypeAnalyzer,
};
