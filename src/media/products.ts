import { z } from 'zod';

/** What media work can make of a stored file; each is a stage of its task. */
export const PRODUCTS = ['THUMBNAILS', 'STREAM', 'SCENES', 'FINGERPRINT', 'QUALITY', 'SCAN_TYPE'] as const;
export type Product = (typeof PRODUCTS)[number];

/** How products are made; the same for all files of an index. */
export interface WorkSettings {
  readonly pictureFormat: 'jpeg' | 'webp';
  /** Heights of the further renditions of a stream, in pixels of the short side; those not below the source's are left out. Empty: none. */
  readonly ladder: readonly number[];
}

/** The path of a file below the folder of the work, as a URL can name it without escaping. */
const path = z
  .string()
  .max(128)
  .regex(/^[a-z0-9_-]+(\/[a-z0-9_-]+)*\.[a-z0-9]+$/);
const seconds = z
  .number()
  .nonnegative()
  .max(7 * 86_400);
const side = z.int().min(1).max(16_384);

/** HLS in `stream/`: `playlist` is the multivariant one. */
export const streamSchema = z.strictObject({
  playlist: path,
  renditions: z
    .array(
      z.strictObject({
        /** Pixels as coded. */
        width: side,
        height: side,
        /** Peak bits a second, audio included. */
        bandwidth: z.int().positive(),
        /** As in RFC 6381. */
        codecs: z.string().max(128),
        /** Whether the pictures are those of the original, byte by byte. */
        copied: z.boolean(),
      }),
    )
    .min(1)
    .max(16),
});

/** Pictures in `pictures/`: a poster, up to ten thumbnails in order of time, and a storyboard as WebVTT that names its sprites. */
const picturesSchema = z.strictObject({
  poster: path,
  thumbnails: z.array(path).max(10),
  storyboard: path,
});

/** Scenes in order of time, without gaps; thumbnails in `scenes/`. start and end in seconds from the first picture. */
const scenesSchema = z.strictObject({
  scenes: z
    .array(z.strictObject({ start: seconds, end: seconds, thumbnail: path.nullable() }))
    .min(1)
    .max(1000),
});

/** Perceptual hashes of pictures in order of time: 64 bits as 16 hexadecimal digits. */
export const fingerprintSchema = z.strictObject({
  frames: z.array(z.strictObject({ at: seconds, hash: z.string().regex(/^[0-9a-f]{16}$/) })).max(2000),
});

/** overall: 0 (bad) to 5 (excellent), as is each metric's score; mean is in the metric's own unit. */
export const qualitySchema = z.strictObject({
  overall: z.number().min(0).max(5),
  metrics: z
    .array(
      z.strictObject({
        name: z.string().max(32),
        mean: z.number(),
        score: z.number().min(0).max(5),
        label: z.string().max(32),
      }),
    )
    .max(16),
});

const SCAN_TYPES = ['PROGRESSIVE', 'INTERLACED_TFF', 'INTERLACED_BFF', 'TELECINED', 'UNKNOWN'] as const;
const scanTypeSchema = z.strictObject({ scanType: z.enum(SCAN_TYPES) });

/** What each product comes to, as a child may claim it. */
export const productSchemas = {
  THUMBNAILS: picturesSchema,
  STREAM: streamSchema,
  SCENES: scenesSchema,
  FINGERPRINT: fingerprintSchema,
  QUALITY: qualitySchema,
  SCAN_TYPE: scanTypeSchema,
} as const;

export type ProductResults = { readonly [P in Product]: z.output<(typeof productSchemas)[P]> };

/** Why a product could not be made of this file: trying again would end the same way, but for CRASHED and TIMEOUT. */
export interface ProductError {
  readonly code: 'UNSUPPORTED_MEDIA_TYPE' | 'VIDEO_FILE_BROKEN' | 'PROCESSING_CRASHED' | 'PROCESSING_TIMEOUT';
  /** A sentence for a person. */
  readonly message: string;
}

/** How a product ended. */
export type ProductOutcome<P extends Product = Product> = {
  readonly [K in P]:
    | { readonly product: K; readonly result: ProductResults[K] }
    | { readonly product: K; readonly error: ProductError };
}[P];

/** What whoever makes products tells while it works. */
export interface WorkListener {
  /** 0 to 1 of this product; never less than before. */
  onProgress(product: Product, fraction: number): void;
  /** Once for each product that was asked for. */
  onOutcome(outcome: ProductOutcome): void;
}

/** Work on one local file. */
export interface WorkOptions {
  readonly path: string;
  /** An empty folder; everything that is made is written below it, and nothing else is. */
  readonly folder: string;
  readonly products: readonly Product[];
  readonly settings: WorkSettings;
}
