import type { Product } from '../products.ts';
import type { CreateAnalyzer } from './analyzer.ts';

/** What is made of decoded pictures. */
export type AnalysisProduct = Exclude<Product, 'STREAM'>;

/** Who makes which product. */
export type AnalyzerTable = { readonly [P in AnalysisProduct]?: CreateAnalyzer<P> };

/** All analyzers that there are. */
export const ANALYZERS: AnalyzerTable = {};
