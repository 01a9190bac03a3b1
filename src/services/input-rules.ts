import { z } from 'zod';
import type { Metadata } from '../db/tables/imports.ts';
import { type InputIssue, type InputIssueCode, InvalidInputError } from './errors.ts';

/** Names that describe the file itself, which metadata must not shadow: the fields of SystemMetadata, and `length`. */
const RESERVED_KEYS = new Set([
  'fileName',
  'size',
  'duration',
  'width',
  'height',
  'container',
  'mimeType',
  'videoCodec',
  'audioCodec',
  'frameRate',
  'bitrate',
  'rotation',
  'hdr',
  'length',
]);
const MAX_METADATA_KEYS = 100;
const MAX_METADATA_BYTES = 16_384;
const MAX_ISSUES = 100;

interface Problem {
  readonly code: InputIssueCode;
  readonly message: string;
}

/** What makes a text unfit for any rule: PostgreSQL stores neither U+0000 nor lone surrogates. */
function textProblem(text: string): Problem | null {
  if (text.includes('\0')) return { code: 'INVALID', message: 'must not contain the character U+0000' };
  if (!text.isWellFormed())
    return { code: 'INVALID', message: 'must be well-formed Unicode: it contains a lone surrogate' };
  return null;
}

function countCharacters(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

function lengthProblem(text: string, min: number, max: number): Problem | null {
  // Characters are at least half as many as UTF-16 units: most texts need not be counted.
  const length = text.length <= max && text.length >= 2 * min ? text.length : countCharacters(text);
  if (length < min)
    return {
      code: 'TOO_SHORT',
      message: min === 1 ? 'must not be empty' : `must have at least ${min} characters`,
    };
  if (length > max)
    return { code: 'TOO_LONG', message: `must have at most ${max} characters; it has ${length}` };
  return null;
}

/** A text of `min` to `max` characters (code points) that the database can store. */
export const text = (min: number, max: number) =>
  z.string().superRefine((value, context) => {
    const problem = textProblem(value) ?? lengthProblem(value, min, max);
    if (problem)
      context.addIssue({ code: 'custom', message: problem.message, params: { issue: problem.code } });
  });

/** null, where left out would be allowed, is an attempt to clear what has to be there. */
export const notNull = <T extends z.ZodType>(type: T) => z.preprocess((value) => value ?? undefined, type);

const MAX_KEY_BYTES = 1024;

/** The key of an object: 1 to 1024 bytes of UTF-8. */
export const objectKey = z.string().superRefine((value, context) => {
  const bytes = Buffer.byteLength(value);
  const problem: Problem | null =
    textProblem(value) ??
    lengthProblem(value, 1, MAX_KEY_BYTES) ??
    (bytes > MAX_KEY_BYTES
      ? { code: 'TOO_LONG', message: `must have at most ${MAX_KEY_BYTES} bytes of UTF-8; it has ${bytes}` }
      : null);
  if (problem)
    context.addIssue({ code: 'custom', message: problem.message, params: { issue: problem.code } });
});

/** A SHA-256 in hex, of either case; comes out in lower case. */
export const sha256 = z
  .string()
  .regex(/^[0-9a-fA-F]{64}$/, 'must be a SHA-256 in hex: 64 of 0-9 and a-f')
  .transform((value) => value.toLowerCase());

/** A custom rule: `check` names the problem, or returns null. */
export const rule = <T>(check: (value: T) => Problem | null) =>
  z.custom<T>().superRefine((value, context) => {
    const problem = check(value);
    if (problem)
      context.addIssue({ code: 'custom', message: problem.message, params: { issue: problem.code } });
  });

function metadataProblem(key: string, value: unknown): Problem | null {
  if (RESERVED_KEYS.has(key))
    return { code: 'RESERVED_KEY', message: `"${key}" is reserved: it is read from the file itself` };
  const problem = textProblem(key) ?? lengthProblem(key, 1, 255);
  if (problem) return { ...problem, message: `the key ${problem.message}` };
  return typeof value === 'string' ? textProblem(value) : null;
}

/** What makes metadata too large: too many keys, or too many bytes of JSON. */
function metadataSizeProblem(value: Metadata): Problem | null {
  const keys = Object.keys(value).length;
  if (keys > MAX_METADATA_KEYS) {
    return { code: 'TOO_MANY', message: `must have at most ${MAX_METADATA_KEYS} keys; it has ${keys}` };
  }
  const size = Buffer.byteLength(JSON.stringify(value));
  if (size <= MAX_METADATA_BYTES) return null;
  return {
    code: 'TOO_LONG',
    message: `must have at most ${MAX_METADATA_BYTES} bytes of JSON; it has ${size}`,
  };
}

/** Flat user metadata: the scalar has seen to the types of its values; here are the limits. */
export const metadata = z.custom<Metadata>().superRefine((value, context) => {
  const add = (problem: Problem, path: string[] = []) =>
    context.addIssue({ code: 'custom', message: problem.message, path, params: { issue: problem.code } });
  const tooLarge = metadataSizeProblem(value);
  if (tooLarge?.code === 'TOO_MANY') return add(tooLarge);
  for (const [key, item] of Object.entries(value)) {
    const problem = metadataProblem(key, item);
    if (problem) add(problem, [key]);
  }
  if (tooLarge) add(tooLarge);
});

const MAX_CONTEXT_BYTES = 8192;

/** A JSON object of the client's own, up to 8,192 bytes of UTF-8; comes out as the text that is stored. */
export const context = z.unknown().transform((value, { addIssue }): string => {
  const found = contextOf(value);
  if (typeof found === 'string') return found;
  addIssue({ code: 'custom', message: found.message, params: { issue: found.code } });
  return z.NEVER;
});

function contextOf(value: unknown): string | Problem {
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    return { code: 'INVALID', message: 'must be a JSON object' };
  const json = jsonOf(value);
  const bytes = json === null ? null : Buffer.byteLength(json);
  if (json !== null && bytes !== null && bytes <= MAX_CONTEXT_BYTES) return json;
  const has = bytes === null ? 'it is nested too deeply' : `it has ${bytes}`;
  return {
    code: 'TOO_LONG',
    message: `must have at most ${MAX_CONTEXT_BYTES} bytes of JSON in UTF-8; ${has}`,
  };
}

/** Null for what is nested too deeply to be written, and so longer than anything that is allowed. */
function jsonOf(value: object): string | null {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

function codeOf(issue: z.core.$ZodIssue): InputIssueCode {
  if (issue.code === 'custom') return (issue.params?.issue as InputIssueCode | undefined) ?? 'INVALID';
  if (issue.code === 'invalid_type') return issue.input === undefined ? 'REQUIRED' : 'INVALID';
  if (issue.code === 'too_small') return issue.origin === 'array' ? 'TOO_FEW' : 'TOO_SHORT';
  if (issue.code === 'too_big') return issue.origin === 'array' ? 'TOO_MANY' : 'TOO_LONG';
  return 'INVALID';
}

/**
 * Checks an argument against its rules.
 * @param argument the argument's name, which every issue's path begins with
 * @throws {InvalidInputError} naming at most the first 100 issues
 */
export function parseInput<T extends z.ZodType>(schema: T, argument: string, value: unknown): z.output<T> {
  const parsed = schema.safeParse(value, { reportInput: true });
  if (parsed.success) return parsed.data;
  throw new InvalidInputError(
    parsed.error.issues.slice(0, MAX_ISSUES).map(
      (issue): InputIssue => ({
        path: [argument, ...issue.path.map(String)],
        code: codeOf(issue),
        message: issue.code === 'invalid_type' && issue.input === undefined ? 'is required' : issue.message,
      }),
    ),
  );
}
