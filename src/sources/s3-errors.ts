import { SourceError } from './errors.ts';
import { parseRetryAfter, unavailable } from './http-errors.ts';
import { type HeaderReader, headerReader } from './http-headers.ts';

/** What was asked of a store, for messages. */
export interface S3Question {
  readonly bucket: string;
  /** Of the service. */
  readonly host: string;
  /** LIST: pages of the bucket; READ: an object. */
  readonly operation: 'LIST' | 'READ';
  /** Whether the requests are signed. */
  readonly isSigned: boolean;
}

/** An answer of a store that is no success, as the SDK read it. */
export interface S3Failure {
  readonly status: number;
  /** As the store names it; empty if it does not. */
  readonly code: string;
  readonly header: HeaderReader;
  /** Of an element beside the code, such as Region. */
  detail(name: string): string | undefined;
}

/** A store did not take a request as it was; a token of a listing that has expired is answered like that. */
export class RefusedRequestError extends SourceError {}

/** Reads what the SDK threw; null if that is no answer of a store. */
export function failureOf(error: unknown): S3Failure | null {
  if (!(error instanceof Error) || !('$response' in error)) return null;
  // The SDK gives what the request handler gave to it.
  const { statusCode, headers } = error.$response as { statusCode: number; headers: Record<string, string> };
  const details = new Map<string, unknown>(Object.entries(error));
  return {
    status: statusCode,
    code: /^[\w.]{1,100}$/.test(error.name) && error.name !== 'Unknown' ? error.name : '',
    header: headerReader(headers),
    detail(name) {
      const text = details.get(name);
      return typeof text === 'string' ? text : undefined;
    },
  };
}

/**
 * The error for what the SDK threw: by the store's code where it names one, else by status. What the store wrote beside
 * the code is not repeated: it may hold keys and signatures.
 * @returns null if it is nothing that a store or its settings can cause
 */
export function errorOfS3(error: unknown, question: S3Question): SourceError | null {
  if (error instanceof SourceError) return error;
  const failure = failureOf(error);
  if (failure === null) return errorOfSettings(error, question);
  if (failure.status < 300) return noS3(question);
  const { host, operation } = question;
  return (
    errorOfRegion(failure, question) ??
    errorOfCredentials(failure.code, host) ??
    errorOfCode(failure, question) ??
    errorOfPassing(failure, host) ??
    errorOfPlace(failure, question) ??
    new RefusedRequestError(
      'SOURCE_UNAVAILABLE',
      `${host} refused to ${operation === 'LIST' ? 'list the bucket' : 'give the object'} (${nameOf(failure)}); check bucket and endpoint.`,
    )
  );
}

/** What the SDK finds out before it sends anything. */
function errorOfSettings(error: unknown, { host }: S3Question): SourceError | null {
  const name = error instanceof Error ? error.name : '';
  if (name === 'CredentialsProviderError' || name === 'TokenProviderError') {
    return unauthorized(
      'The server has no AWS credentials of its own; give the integration credentials, or ask the operator.',
    );
  }
  if (name === 'EndpointError' || name === 'InvalidBucketName') {
    return unavailable(`Bucket and region give no valid address at ${host}; check both of them.`);
  }
  return null;
}

const REGION_CODES: ReadonlySet<string> = new Set([
  'AuthorizationHeaderMalformed',
  'PermanentRedirect',
  'IllegalLocationConstraintException',
]);

function errorOfRegion(failure: S3Failure, { bucket, host }: S3Question): SourceError | null {
  const isRedirect = failure.status === 301 || failure.status === 307 || failure.status === 308;
  const told = failure.header('x-amz-bucket-region') ?? failure.detail('Region');
  const region = told !== undefined && /^[a-z0-9-]{1,64}$/.test(told) ? told : undefined;
  if (!REGION_CODES.has(failure.code) && !(isRedirect && region !== undefined)) return null;
  if (region !== undefined) return unavailable(`The bucket "${bucket}" is in ${region}: set that region.`);
  return unavailable(
    `The bucket "${bucket}" is in another region than ${host} was asked in; set its region.`,
  );
}

function errorOfCredentials(code: string, host: string): SourceError | null {
  if (code === 'InvalidAccessKeyId') {
    return unauthorized(`${host} does not know the access key id; check it, or make a new key.`);
  }
  if (code === 'SignatureDoesNotMatch') {
    return unauthorized(
      `The secret access key does not belong to the access key id, says ${host}; enter both again.`,
    );
  }
  if (code === 'ExpiredToken' || code === 'TokenRefreshRequired') {
    return unauthorized('The credentials have expired; enter new ones.');
  }
  if (code === 'InvalidToken') {
    return unauthorized(`${host} does not accept the session token; enter credentials and token again.`);
  }
  if (code === 'RequestTimeTooSkewed') {
    return unavailable(
      `The clock of this server and that of ${host} differ too much for signed requests; set this server's clock right.`,
    );
  }
  return null;
}

function errorOfCode({ code }: S3Failure, { bucket, host }: S3Question): SourceError | null {
  if (code === 'NoSuchBucket') {
    return notFound(`${host} has no bucket "${bucket}"; check its name, region and endpoint.`);
  }
  if (code === 'InvalidBucketName')
    return notFound(`${host} says that "${bucket}" is no name of a bucket; check it.`);
  if (code === 'NoSuchKey') return missingObject(bucket);
  return code === 'InvalidObjectState' ? archived() : null;
}

/** Codes that say "later" with a status that does not. */
const PASSING_CODES: ReadonlySet<string> = new Set([
  'SlowDown',
  'RequestTimeout',
  'Throttling',
  'ThrottlingException',
  'RequestLimitExceeded',
  'OperationAborted',
  'TemporaryRedirect',
]);

function errorOfPassing(failure: S3Failure, host: string): SourceError | null {
  const { status, code } = failure;
  const isPassing = (status >= 500 && status !== 501) || status === 408 || status === 425 || status === 429;
  if (!isPassing && !PASSING_CODES.has(code)) return null;
  return unavailable(`${host} cannot answer at the moment (${nameOf(failure)}).`, {
    retryable: true,
    retryAfterSeconds: parseRetryAfter(failure.header('retry-after')),
  });
}

/** By status alone: stores leave bodies out, and proxies before them know no codes. */
function errorOfPlace({ status }: S3Failure, question: S3Question): SourceError | null {
  const { bucket, host, operation } = question;
  if (status < 400)
    return unavailable(`${host} redirects (HTTP ${status}); set the endpoint that it leads to.`);
  if (status === 401 || status === 403) return denied(question);
  if (status !== 404 && status !== 410) return null;
  return operation === 'READ'
    ? missingObject(bucket)
    : notFound(`${host} has no bucket "${bucket}" (HTTP ${status}); check its name, region and endpoint.`);
}

function denied({ bucket, operation, isSigned }: S3Question): SourceError {
  const [what, permission] =
    operation === 'LIST' ? ['be listed', 's3:ListBucket'] : ['be read from', 's3:GetObject'];
  const advice = isSigned
    ? `allow ${permission} to the credentials`
    : `give credentials that have ${permission}, or allow it to everybody`;
  return unauthorized(`The bucket "${bucket}" may not ${what}; ${advice}.`);
}

/** The error for an object whose bytes have to be brought back first. */
export const archived = (): SourceError =>
  unavailable('The object is archived; restore it first, and import it again then.');

/** The error for an object that is not there. */
export const missingObject = (bucket: string): SourceError =>
  notFound(`The bucket "${bucket}" has no such object; it was removed or renamed.`);

/** The error for an answer that S3 would not give. */
export const noS3 = ({ host }: Pick<S3Question, 'host'>): SourceError =>
  unavailable(`${host} sent an answer that is not one of S3; check the endpoint.`, { retryable: true });

const nameOf = ({ code, status }: S3Failure): string =>
  code === '' || code === 'Error' ? `HTTP ${status}` : `${code}, HTTP ${status}`;

const unauthorized = (message: string) => new SourceError('SOURCE_NOT_AUTHORIZED', message);
const notFound = (message: string) => new SourceError('SOURCE_NOT_FOUND', message);
