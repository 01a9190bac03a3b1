import { z } from 'zod';

/** What a call is about. */
export type Task =
  | { readonly type: 'probeFile'; readonly path: string }
  | { readonly type: 'probeRemote'; readonly size: number };

/**
 * What the pool sends to a child, each with the number of the call that it is about. A `fetch` is answered by a `block`,
 * behind which the bytes themselves come, or by `stop`.
 */
export type Order = (Task | { readonly type: 'block' } | { readonly type: 'stop' }) & {
  readonly call: number;
};

/** A text of a child, without what a database refuses. @param longest in characters */
export const text = (longest: number) =>
  z
    .string()
    .max(longest)
    .transform((value) => value.replaceAll('\0', ''));
const side = z.int().min(1).max(16_384);

/**
 * What a child may claim of a file; anything else is the word of a child that is no longer its own master.
 */
const factsSchema = z.strictObject({
  size: z.int().nonnegative(),
  duration: z
    .number()
    .positive()
    .max(7 * 86_400),
  width: side,
  height: side,
  container: text(16),
  mimeType: text(64),
  videoCodec: text(32),
  audioCodec: text(32).nullable(),
  frameRate: z.number().positive().max(1000).nullable(),
  bitrate: z.number().nonnegative().nullable(),
  rotation: z.int().min(0).max(270).multipleOf(90),
  hdr: z.boolean(),
});

const call = z.int().positive();

/**
 * What a child sends: `ready` once, `fetch` while it reads a remote file, and one of the others at the end
 * of each call: the facts, a verdict about the file, the system's reason why a local file cannot be read, or
 * `stopped` when it was told to stop.
 */
export const reportSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('ready') }),
  z.strictObject({
    type: z.literal('fetch'),
    call,
    offset: z.int().nonnegative(),
    length: z
      .int()
      .min(1)
      .max(2 * 1024 * 1024),
  }),
  z.strictObject({ type: z.literal('facts'), call, facts: factsSchema }),
  z.strictObject({
    type: z.literal('rejected'),
    call,
    code: z.enum(['UNSUPPORTED_MEDIA_TYPE', 'VIDEO_FILE_BROKEN']),
    message: text(1000),
  }),
  z.strictObject({ type: z.literal('unreadable'), call, code: text(32), message: text(1000) }),
  z.strictObject({ type: z.literal('stopped'), call }),
]);

export type Report = z.input<typeof reportSchema>;

/** What a child says of a call. */
export type ProbeReport = Exclude<Report, { type: 'ready' }>;

type WithoutCall<T> = T extends { readonly call: number } ? Omit<T, 'call'> : never;

/** The last word of a child on a call, whichever that is. */
export type Verdict = WithoutCall<Exclude<ProbeReport, { type: 'fetch' }>>;
