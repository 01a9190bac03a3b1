import { StorageError, type StorageErrorReason, StorageFullError } from './adapter.ts';
import { notFound } from './file-errors.ts';

/** What an S3 store answered, or why it did not, in its own words beside ours. */
export class S3StorageError extends StorageError {
  /** The store's code (`NoSuchUpload` …), or Node's of the connection (`ECONNREFUSED` …). */
  readonly code: string;
  /** Of the answer; null if none came. */
  readonly status: number | null;

  constructor(reason: StorageErrorReason, message: string, { code, status, cause }: S3Fault) {
    super(reason, message, { cause });
    this.code = code;
    this.status = status;
  }
}

interface S3Fault {
  readonly code: string;
  readonly status: number | null;
  readonly cause: Error;
  /** Where the bucket is, if the store says that it is elsewhere. */
  readonly region: string | undefined;
}

/** What was asked, for the message. */
export interface S3Request {
  readonly bucket: string;
  /** The host of the endpoint, or S3 itself. */
  readonly where: string;
  /** Such as `PutObject`. */
  readonly operation: string;
}

const FULL_CODES = new Set([
  'QuotaExceeded',
  'XMinioStorageFull',
  'InsufficientCapacity',
  'InsufficientStorage',
]);
const MISSING_CODES = new Set(['NoSuchKey', 'NotFound']);
const CREDENTIALS_CODES = new Set([
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'ExpiredToken',
  'InvalidToken',
  'TokenRefreshRequired',
]);
const REGION_CODES = new Set([
  'AuthorizationHeaderMalformed',
  'PermanentRedirect',
  'IllegalLocationConstraint',
]);
const BUSY_CODES = new Set(['SlowDown', 'ServiceUnavailable', 'TooManyRequests', 'RequestLimitExceeded']);

/** Turns what the S3 client threw into a StorageError; one that is a StorageError already stays itself. */
export function toS3Error(error: unknown, request: S3Request): StorageError {
  if (error instanceof StorageError) return error;
  const fault = readFault(error);
  const { code, status, cause } = fault;
  if (FULL_CODES.has(code) || status === 507) return new StorageFullError({ cause });
  if (MISSING_CODES.has(code)) return notFound(cause);
  return new S3StorageError('UNAVAILABLE', sentence(fault, request), fault);
}

/** Whether the upload in parts that was named is over: completed, aborted, or never begun. */
export const isUploadGone = (error: unknown): boolean =>
  error instanceof S3StorageError && error.code === 'NoSuchUpload';

/** Whether the store does not know this kind of request at all. */
export function isNotImplemented(error: unknown): boolean {
  if (!(error instanceof S3StorageError)) return false;
  const { code, status } = error;
  return code === 'NotImplemented' || code === 'MethodNotAllowed' || status === 501 || status === 405;
}

/** Whether the request may have been done all the same: no answer came, or one that says nothing about that. */
export function isUncertain(error: unknown): boolean {
  if (!(error instanceof S3StorageError)) return false;
  return error.status === null || error.status >= 500 || error.status === 200 || isUploadGone(error);
}

function readFault(error: unknown): S3Fault {
  const told = isRecord(error) ? error : {};
  const metadata = isRecord(told.$metadata) ? told.$metadata : {};
  const response = isRecord(told.$response) ? told.$response : {};
  const headers = isRecord(response.headers) ? response.headers : {};
  const status = firstNumber(metadata.httpStatusCode, response.statusCode);
  const code = firstText(told.code, told.Code, told.name) ?? 'unknown error';
  return {
    code,
    status,
    region: firstText(told.Region, headers['x-amz-bucket-region']),
    cause: reduced(error, code),
  };
}

/** The error without the fields that the store put into it: some answers repeat the session token that they refuse. */
function reduced(error: unknown, code: string): Error {
  const cause = new Error(code);
  if (error instanceof Error && error.stack !== undefined) {
    cause.stack = `${code}${error.stack.slice(Math.max(0, error.stack.indexOf('\n    at ')))}`;
  }
  return cause;
}

function sentence({ code, status, region }: S3Fault, { bucket, where, operation }: S3Request): string {
  if (code === 'NoSuchBucket')
    return `There is no bucket "${bucket}" at ${where}; create it, or correct its name.`;
  if (code === 'CredentialsProviderError')
    return 'There are no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role.';
  if (CREDENTIALS_CODES.has(code))
    return `The AWS credentials are not valid at ${where} (${code}); correct or renew them.`;
  if (REGION_CODES.has(code) || status === 301 || status === 307)
    return `The bucket "${bucket}" is in another region${region === undefined ? '' : `, ${region}`}; correct the region.`;
  if (status === 401 || status === 403)
    return `${where} does not allow ${operation} in the bucket "${bucket}"; correct the rights of the credentials.`;
  if (BUSY_CODES.has(code) || status === 503 || status === 429)
    return `${where} is too busy for the bucket "${bucket}" (${code}); it is worth another try later.`;
  if (code === 'NoSuchUpload') return `The unfinished upload is gone from the bucket "${bucket}".`;
  if (code === 'InvalidObjectState')
    return `The object is archived in the bucket "${bucket}"; restore it, and keep the bucket from archiving.`;
  if (status === null)
    return `${where} cannot be reached (${code}); correct the endpoint, or see whether it runs.`;
  return `${where} failed at ${operation} in the bucket "${bucket}" (${code}).`;
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;
const firstText = (...values: readonly unknown[]): string | undefined =>
  values.find((value): value is string => typeof value === 'string' && value !== '');
const firstNumber = (...values: readonly unknown[]): number | null =>
  values.find((value): value is number => typeof value === 'number') ?? null;
