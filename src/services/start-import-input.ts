import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { ImportSource } from '../db/tables/imports.ts';
import { parseVideoUrl } from '../sources/video-url.ts';
import { context, metadata, objectKey, parseInput, rule, sha256, text } from './input-rules.ts';
import type { NamedUpload } from './use-uploads.ts';

const MAX_ENTRIES = 10_000;
const MAX_URL_LENGTH = 8192;

/** The URL of a video, as far as it can be told without looking at it. */
export const videoUrl = rule<string>((value) => {
  const parsed = parseVideoUrl(value);
  return parsed.ok ? null : { code: 'INVALID', message: parsed.message };
});

const described = {
  name: text(1, 255).nullish(),
  description: text(0, 511).nullish(),
  metadata: metadata.nullish(),
};

const video = z
  .object({
    externalId: text(1, 255),
    url: z.string().pipe(videoUrl).nullish(),
    uploadId: z.string().nullish(),
    fileName: text(1, 255),
    ...described,
    sha256: sha256.nullish(),
  })
  .superRefine(({ url, uploadId }, context) => {
    if (url == null && uploadId == null)
      context.addIssue({
        code: 'custom',
        path: ['url'],
        message: 'is required, unless there is an uploadId',
        params: { issue: 'REQUIRED' },
      });
    if (url != null && uploadId != null)
      context.addIssue({
        code: 'custom',
        path: ['uploadId'],
        message: 'must not be given together with a url: exactly one of the two',
        params: { issue: 'INVALID' },
      });
  });

const object = z.object({ key: objectKey, fileName: text(1, 255).nullish(), ...described });

const entries = <T extends z.ZodType>(type: T, what: string) =>
  z
    .array(type)
    .min(1, `must name at least one ${what}`)
    .max(MAX_ENTRIES, `must name at most ${MAX_ENTRIES} ${what}s`);

// The schema has seen to it that exactly one is there.
const from = z.object({
  videos: z.object({ systemName: text(1, 255), videos: entries(video, 'video') }).nullish(),
  objects: z.object({ integrationId: z.string(), objects: entries(object, 'object') }).nullish(),
  integration: z.object({ integrationId: z.string(), prefix: text(0, 1024).nullish() }).nullish(),
});

/** What every way of bringing videos in is told beside where they come from. */
export const importOptions = {
  indexId: z.string().nullish(),
  teamId: z.string().nullish(),
  incremental: z.boolean(),
  metadata: metadata.nullish(),
  fullIngestion: z.boolean(),
  enableVideoStream: z.boolean(),
  idempotencyKey: text(1, 255).nullish(),
};

const webhookUrl = text(1, MAX_URL_LENGTH).pipe(
  rule<string>((value) => {
    const parsed = parseVideoUrl(value, 'https://example.com/imported');
    return parsed.ok ? null : { code: 'INVALID', message: parsed.message };
  }),
);

/** What an import would do depends on this alone. */
const planInput = z.object({ from, retryFailed: z.boolean(), ...importOptions });
const startImportInput = planInput.extend({
  webhook: z.object({ url: webhookUrl }).nullish(),
  context: context.nullish(),
});

/** The checked input of startImport. */
export type StartImport = z.output<typeof startImportInput>;
/** The checked input of importPlan. */
export type PlanImport = z.output<typeof planInput>;
export type VideoInput = z.output<typeof video>;
export type ObjectInput = z.output<typeof object>;

/**
 * Checks the input of startImport.
 * @throws {InvalidInputError} with the path of everything that is wrong (the first 100)
 */
export function parseStartImport(input: unknown): StartImport {
  return parseInput(startImportInput, 'input', input);
}

/**
 * Checks the input of importPlan: that of startImport, whose webhook and context are of no interest.
 * @throws {InvalidInputError} with the path of everything that is wrong (the first 100)
 */
export function parseImportPlan(input: unknown): PlanImport {
  return parseInput(planInput, 'input', input);
}

/** What kind of source an import has. */
export function sourceKindOf({ from: { videos, objects } }: PlanImport): ImportSource {
  if (videos != null) return 'VIDEOS';
  return objects != null ? 'OBJECTS' : 'INTEGRATION';
}

/** The integration that an input names, with the path to it; null when it names none. */
export function integrationIdOf({ from: { objects, integration } }: PlanImport) {
  const named = objects ?? integration;
  if (named == null) return null;
  return {
    id: named.integrationId,
    path: ['input', 'from', objects == null ? 'integration' : 'objects', 'integrationId'],
  };
}

/** The uploads that an input names, with the paths to them. */
export function uploadsOf({ from: { videos } }: StartImport): readonly NamedUpload[] {
  return (videos?.videos ?? []).flatMap(({ uploadId }, at) =>
    uploadId == null
      ? []
      : [{ id: uploadId, path: ['input', 'from', 'videos', 'videos', String(at), 'uploadId'] }],
  );
}

/** The same for the same input, whatever the order of its keys: what tells a repeated call from a reused idempotency key. */
export function hashInput(input: { readonly idempotencyKey?: string | null | undefined }): string {
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
