import { availableParallelism } from 'node:os';
import { isAbsolute, resolve } from 'node:path';
import ipaddr from 'ipaddr.js';
import { z } from 'zod';

/** The rules of the server for every index, unless SLUICE_REQUIREMENTS says otherwise; bytes, seconds and pixels. */
const DEFAULT_REQUIREMENTS = {
  minWidth: 360,
  minHeight: 360,
  maxWidth: 5184,
  maxHeight: 2160,
  minAspectRatio: 1,
  maxAspectRatio: 2.4,
  minDuration: 4,
  maxDuration: 7200,
  maxSize: 2_147_483_648,
};

/** The wait before a first retry, in seconds, unless SLUICE_RETRY_BASE_SECONDS says otherwise. */
export const DEFAULT_RETRY_BASE_SECONDS = 5;

/** Everything wrong with the settings, a line each. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

const seconds = (fallback: number) => z.coerce.number().positive().max(86_400).default(fallback);
const port = z.coerce.number().int().min(0).max(65_535);
const count = (fallback: number) => z.coerce.number().int().min(1).max(1000).default(fallback);
const flag = z
  .enum(['0', '1', 'true', 'false', 'on', 'off', 'yes', 'no'])
  .transform((v) => ['1', 'true', 'on', 'yes'].includes(v));
const list = z
  .string()
  .transform((text) =>
    text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== ''),
  )
  .default([]);
/** Addresses or networks (RFC 4632), comma-separated. */
const networks = list.refine(
  (parts) => parts.every((part) => (part.includes('/') ? ipaddr.isValidCIDR(part) : ipaddr.isValid(part))),
  'must be addresses or networks such as 10.0.0.0/8, comma-separated',
);
const postgresUrl = z.string().regex(/^postgres(ql)?:\/\//, 'must begin with postgres:// or postgresql://');
const secretKey = z
  .string()
  .transform((text) => Buffer.from(text, 'base64'))
  .refine((key) => key.length === 32, 'must be 32 bytes in base64');

const previousSecretKeys = list
  .transform((texts) => texts.map((text) => Buffer.from(text, 'base64')))
  .refine(
    (keys) => keys.every((key) => key.length === 32),
    'must be keys of 32 bytes in base64, with commas between them',
  );

const folders = list
  .refine((paths) => paths.every(isAbsolute), 'must be absolute paths, with commas between them')
  .transform((paths) => paths.map((path) => resolve(path)));

const requirements = z
  .string()
  .transform((text, context) => {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      context.addIssue({ code: 'custom', message: 'must be a JSON object' });
      return z.NEVER;
    }
  })
  .pipe(
    z.strictObject(
      Object.fromEntries(
        Object.keys(DEFAULT_REQUIREMENTS).map((key) => [key, z.number().positive().optional()]),
      ),
    ),
  );

/** Short sides of further renditions of a stream. */
const MIN_RUNG = 144;
const MAX_RUNG = 2160;
const MAX_RUNGS = 8;
const RUNGS = `must be up to ${MAX_RUNGS} different whole numbers from ${MIN_RUNG} to ${MAX_RUNG}, with commas between them`;

/**
 * Reads the short sides of further renditions of HLS, such as 360,720.
 * @returns pixels, the largest first; null for what cannot be one
 */
export function parseLadder(text: string): number[] | null {
  const parts = text.split(',').map((part) => part.trim());
  const rungs = [...new Set(parts.filter((part) => part !== '').map(Number))];
  const fits = (rung: number) => Number.isInteger(rung) && rung >= MIN_RUNG && rung <= MAX_RUNG;
  return rungs.length <= MAX_RUNGS && rungs.every(fits) ? rungs.sort((a, b) => b - a) : null;
}

const ladder = z.string().transform((text, context) => {
  const rungs = parseLadder(text);
  if (rungs !== null) return rungs;
  context.addIssue({ code: 'custom', message: RUNGS });
  return z.NEVER;
});

const settings = z.object({
  HOST: z.string().default('127.0.0.1'),
  PORT: port.default(4000),
  DATABASE_URL: postgresUrl.optional(),
  LISTEN_DATABASE_URL: postgresUrl.optional(),
  SLUICE_DATA_DIR: z.string().default('./.sluice'),
  SLUICE_STORAGE_URL: z
    .string()
    .regex(/^(file:\/\/\/|s3:\/\/[a-z0-9])/, 'must be file:///folder or s3://bucket/prefix?region=…')
    .optional(),
  SLUICE_PUBLIC_URL: z.url({ protocol: /^https?$/ }).optional(),
  SLUICE_SECRET_KEY: secretKey.optional(),
  SLUICE_PREVIOUS_SECRET_KEYS: previousSecretKeys,
  SLUICE_API_KEY: z
    .string()
    .regex(/^slc_[A-Za-z0-9_-]{32,200}$/, 'must be slc_ and 32 to 200 of A-Z a-z 0-9 _ -')
    .optional(),
  SLUICE_PLAN_SECONDS: seconds(5),
  SLUICE_ALLOW_ADDRESSES: list,
  SLUICE_ALLOW_FOLDERS: folders,
  SLUICE_AWS_DEFAULT_CREDENTIALS: flag.optional(),
  SLUICE_ALLOW_ORIGINS: list,
  SLUICE_SOCKETS_PER_KEY: z.coerce.number().int().min(1).max(100_000).default(20),
  SLUICE_TRUSTED_PROXIES: networks,
  SLUICE_UPLOAD_MAX_BYTES: z.coerce
    .number()
    .int()
    .min(1)
    .max(5 * 1024 ** 4)
    .default(2_147_483_648),
  SLUICE_TRANSFER_CONCURRENCY: count(8),
  SLUICE_INDEX_CONCURRENCY: count(availableParallelism()),
  SLUICE_LEASE_SECONDS: seconds(30),
  SLUICE_SWEEP_SECONDS: seconds(5),
  SLUICE_GRACE_SECONDS: seconds(20),
  SLUICE_RETRY_BASE_SECONDS: seconds(DEFAULT_RETRY_BASE_SECONDS),
  SLUICE_WEBHOOK_TIMEOUT_SECONDS: z.coerce.number().positive().max(30).default(15),
  SLUICE_STORAGE_FULL_SECONDS: seconds(30),
  SLUICE_RETAIN_DAYS: z.coerce.number().int().min(0).max(36_500).default(90),
  SLUICE_RATE_CALLS_PER_MINUTE: z.coerce.number().int().min(0).max(1_000_000).default(6000),
  SLUICE_PROBE_CHILDREN: count(2),
  SLUICE_REQUIREMENTS: requirements.optional(),
  SLUICE_PICTURE_FORMAT: z.enum(['jpeg', 'webp']).default('jpeg'),
  SLUICE_HLS_LADDER: ladder.optional(),
  SLUICE_HEALTH_PORT: port.optional(),
  SLUICE_PRODUCTION: flag.optional(),
  SLUICE_MEDIA_URL_SECONDS: z.coerce.number().int().min(60).max(604_800).default(3600),
  SLUICE_MEDIA_DELIVERY: z.enum(['proxy', 'redirect']).default('proxy'),
  SLUICE_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
});

/** The settings of one process, checked and with their defaults; durations in seconds, sizes in bytes. */
export type Config = ReturnType<typeof readConfig>;

/**
 * Reads the settings from an environment (`process.env` unless given).
 * @throws {ConfigError} naming every setting that is wrong, and what is allowed.
 */
export function readConfig(environment: NodeJS.ProcessEnv = process.env) {
  const given = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value !== ''),
  );
  const parsed = settings.safeParse(given);
  const problems = parsed.success ? [] : parsed.error.issues.map(describe);
  if (given.DATABASE_URL !== undefined && given.SLUICE_SECRET_KEY === undefined) {
    problems.push(
      'SLUICE_SECRET_KEY: required with DATABASE_URL (32 bytes in base64: openssl rand -base64 32)',
    );
  }
  if (!parsed.success || problems.length > 0) throw new ConfigError(problems.join('\n'));
  const env = parsed.data;
  const dataDir = resolve(env.SLUICE_DATA_DIR);
  return Object.freeze({
    host: env.HOST,
    port: env.PORT,
    databaseUrl: env.DATABASE_URL,
    listenDatabaseUrl: env.LISTEN_DATABASE_URL,
    dataDir,
    storageUrl: env.SLUICE_STORAGE_URL,
    publicUrl: env.SLUICE_PUBLIC_URL?.replace(/\/+$/, ''),
    secretKey: env.SLUICE_SECRET_KEY,
    previousSecretKeys: env.SLUICE_PREVIOUS_SECRET_KEYS,
    apiKey: env.SLUICE_API_KEY,
    planSeconds: env.SLUICE_PLAN_SECONDS,
    allowAddresses: env.SLUICE_ALLOW_ADDRESSES,
    allowFolders: env.SLUICE_ALLOW_FOLDERS,
    awsDefaultCredentials: env.SLUICE_AWS_DEFAULT_CREDENTIALS ?? false,
    allowOrigins: env.SLUICE_ALLOW_ORIGINS,
    socketsPerKey: env.SLUICE_SOCKETS_PER_KEY,
    trustedProxies: env.SLUICE_TRUSTED_PROXIES,
    uploadMaxBytes: env.SLUICE_UPLOAD_MAX_BYTES,
    transferConcurrency: env.SLUICE_TRANSFER_CONCURRENCY,
    indexConcurrency: env.SLUICE_INDEX_CONCURRENCY,
    leaseSeconds: env.SLUICE_LEASE_SECONDS,
    sweepSeconds: env.SLUICE_SWEEP_SECONDS,
    graceSeconds: env.SLUICE_GRACE_SECONDS,
    retryBaseSeconds: env.SLUICE_RETRY_BASE_SECONDS,
    webhookTimeoutSeconds: env.SLUICE_WEBHOOK_TIMEOUT_SECONDS,
    storageFullSeconds: env.SLUICE_STORAGE_FULL_SECONDS,
    retainDays: env.SLUICE_RETAIN_DAYS,
    rateCallsPerMinute: env.SLUICE_RATE_CALLS_PER_MINUTE,
    probeChildren: env.SLUICE_PROBE_CHILDREN,
    requirements: { ...DEFAULT_REQUIREMENTS, ...env.SLUICE_REQUIREMENTS } as typeof DEFAULT_REQUIREMENTS,
    pictureFormat: env.SLUICE_PICTURE_FORMAT,
    ladder: env.SLUICE_HLS_LADDER ?? [],
    healthPort: env.SLUICE_HEALTH_PORT,
    production: env.SLUICE_PRODUCTION ?? env.DATABASE_URL !== undefined,
    mediaUrlSeconds: env.SLUICE_MEDIA_URL_SECONDS,
    mediaDelivery: env.SLUICE_MEDIA_DELIVERY,
    logLevel: env.SLUICE_LOG_LEVEL,
  });
}

const describe = (issue: z.core.$ZodIssue) => `${issue.path.map(String).join('.')}: ${issue.message}`;
