import type { StoredQuality } from '../db/tables/products.ts';
import { SCAN_TYPES } from '../db/tables/products.ts';
import { builder } from './builder.ts';

const QualityMetric = builder.objectRef<StoredQuality['metrics'][number]>('QualityMetric').implement({
  description: 'mean: in the unit of the metric. score: as overall.',
  fields: (t) => ({
    name: t.exposeString('name'),
    mean: t.exposeFloat('mean'),
    score: t.exposeFloat('score'),
    label: t.exposeString('label'),
  }),
});

export const Quality = builder.objectRef<StoredQuality>('Quality').implement({
  description: 'overall: 0 (bad) to 5 (excellent).',
  fields: (t) => ({
    overall: t.exposeFloat('overall'),
    metrics: t.expose('metrics', { type: [QualityMetric] }),
  }),
});

export const ScanType = builder.enumType('ScanType', { values: SCAN_TYPES });

/** A scene as the API tells it; seconds from the first picture. */
export interface SceneShape {
  readonly start: number;
  readonly end: number;
  readonly thumbnailUrl: string | null;
}

export const Scene = builder.objectRef<SceneShape>('Scene').implement({
  description: 'start and end: in seconds from the first picture.',
  fields: (t) => ({
    start: t.exposeFloat('start'),
    end: t.exposeFloat('end'),
    thumbnailUrl: t.exposeString('thumbnailUrl', { nullable: true }),
  }),
});

/** A video has as many at most; whoever asks for them pays for all. */
export const SCENES_COST = { field: 1, multiplier: 1000 };
