import { createHash } from 'node:crypto';
import { z } from 'zod';
import { parseVideoUrl } from '../sources/video-url.ts';
import { metadata, parseInput, rule, sha256, text } from './input-rules.ts';

const MAX_VIDEOS = 10_000;

const url = rule<string>((value) => {
  const parsed = parseVideoUrl(value);
  return parsed.ok ? null : { code: 'INVALID', message: parsed.message };
});

const required = <T extends z.ZodType>(type: T) => z.preprocess((value) => value ?? undefined, type);

const video = z.object({
  externalId: text(1, 255),
  url: required(z.string().pipe(url)),
  fileName: text(1, 255),
  name: text(1, 255).nullish(),
  description: text(0, 511).nullish(),
  metadata: metadata.nullish(),
  sha256: sha256.nullish(),
});

const startImportInput = z.object({
  from: z.object({
    videos: z.object({
      systemName: text(1, 255),
      videos: z
        .array(video)
        .min(1, 'must name at least one video')
        .max(MAX_VIDEOS, `must name at most ${MAX_VIDEOS} videos`),
    }),
  }),
  indexId: z.string().nullish(),
  teamId: z.string().nullish(),
  incremental: z.boolean(),
  metadata: metadata.nullish(),
  idempotencyKey: text(1, 255).nullish(),
});

/** The checked input of startImport. */
export type StartImport = z.output<typeof startImportInput>;
export type VideoInput = StartImport['from']['videos']['videos'][number];

/**
 * Checks the input of startImport.
 * @throws {InvalidInputError} with the path of everything that is wrong (the first 100)
 */
export function parseStartImport(input: unknown): StartImport {
  return parseInput(startImportInput, 'input', input);
}

/** The same for the same input, whatever the order of its keys: what tells a repeated call from a reused idempotency key. */
export function hashInput(input: StartImport): string {
  const { idempotencyKey: _, ...rest } = input;
  return createHash('sha256').update(JSON.stringify(rest, sortKeys)).digest('hex');
}

const sortKeys = (_key: string, value: unknown) =>
  value !== null && typeof value === 'object' && !Array.isArray(value)
    ? Object.fromEntries(
        Object.entries(value)
          .filter(([, item]) => item !== null)
          .sort(([a], [b]) => (a < b ? -1 : 1)),
      )
    : value;
