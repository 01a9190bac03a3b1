import { z } from 'zod';
import { text } from './messages.ts';
import { PRODUCTS, type Product, productSchemas, type WorkOptions } from './products.ts';

/** What a child is told to make, with the number of the call. */
export type WorkOrder = WorkTask & { readonly call: number };

/** One call: the stream alone, or products that share one decode. */
export interface WorkTask extends WorkOptions {
  readonly type: 'work';
}

const call = z.int().positive();
const product = z.enum(PRODUCTS);
const made = <P extends Product>(name: P) =>
  z.strictObject({ product: z.literal(name), result: productSchemas[name] });
const rejection = {
  code: z.enum(['UNSUPPORTED_MEDIA_TYPE', 'VIDEO_FILE_BROKEN']),
  message: text(1000),
};

/**
 * What a child that makes products sends: `ready` once; of a call any number of `progress`, and for each product `made`
 * or `refused`; then one last word: `done`, `rejected` (a verdict that holds for all products that are open), or `failed`
 * (the system's reason why the work could not be done).
 */
export const workReportSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('ready') }),
  z.strictObject({ type: z.literal('progress'), call, product, fraction: z.number() }),
  z.strictObject({
    type: z.literal('made'),
    call,
    outcome: z.discriminatedUnion('product', [
      made('THUMBNAILS'),
      made('STREAM'),
      made('SCENES'),
      made('FINGERPRINT'),
      made('QUALITY'),
      made('SCAN_TYPE'),
    ]),
  }),
  z.strictObject({
    type: z.literal('refused'),
    call,
    outcome: z.strictObject({
      product,
      error: z.strictObject({
        ...rejection,
        code: z.enum([...rejection.code.options, 'PROCESSING_CRASHED', 'PROCESSING_TIMEOUT']),
      }),
    }),
  }),
  z.strictObject({ type: z.literal('rejected'), call, ...rejection }),
  z.strictObject({ type: z.literal('failed'), call, code: text(32), message: text(1000) }),
  z.strictObject({ type: z.literal('done'), call }),
]);

export type Report = z.output<typeof workReportSchema>;

/** What a child says of a call. */
export type WorkReport = Exclude<Report, { type: 'ready' }>;

type WithoutCall<T> = T extends { readonly call: number } ? Omit<T, 'call'> : never;

/** The last word of a child on a call, whichever that is. */
export type WorkVerdict = WithoutCall<Exclude<WorkReport, { type: 'progress' | 'made' | 'refused' }>>;
