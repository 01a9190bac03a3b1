import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { compareBytes, encodeBytes } from './encoding.ts';
import { S3Failure } from './failure.ts';

/** How far the clocks of both sides may be apart, in milliseconds. */
const MAX_SKEW_MS = 15 * 60 * 1000;

const ALGORITHM = 'AWS4-HMAC-SHA256';

const HEADER =
  /^AWS4-HMAC-SHA256\s+Credential=(?<id>[^/]+)\/(?<day>\d{8})\/(?<region>[^/]+)\/s3\/aws4_request\s*,\s*SignedHeaders=(?<names>[^,]+)\s*,\s*Signature=(?<signature>[0-9a-f]{64})$/;

/** What of a request is signed. */
export interface SignedRequest {
  readonly method: string;
  /** Decoded, from the first slash on. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string>>;
}

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/**
 * Checks the signature (version 4, in the headers) of a request.
 * @param region of the bucket; undefined if there is no such bucket, when any will do
 * @throws {S3Failure}
 */
export function verifySignature(
  request: SignedRequest,
  { accessKeyId, secretAccessKey }: Credentials,
  region: string | undefined,
): void {
  const scope = HEADER.exec(request.headers.authorization ?? '')?.groups;
  if (scope === undefined) throw malformed('The authorization header is malformed.');
  const { id = '', day = '', names = '', signature = '' } = scope;
  const time = request.headers['x-amz-date'] ?? '';
  if (!time.startsWith(day)) throw malformed('The date in the authorization header is another one.');
  if (Math.abs(Date.now() - timeOf(time)) > MAX_SKEW_MS) throw skewed();
  if (region !== undefined && scope.region !== region) throw wrongRegion(scope.region ?? '', region);
  if (id !== accessKeyId) throw unknownKey(id);
  const text = [
    ALGORITHM,
    time,
    `${day}/${scope.region}/s3/aws4_request`,
    canonicalHash(request, names),
  ].join('\n');
  const key = [day, scope.region ?? '', 's3', 'aws4_request'].reduce<Buffer | string>(
    hmac,
    `AWS4${secretAccessKey}`,
  );
  if (!timingSafeEqual(hmac(key, text), Buffer.from(signature, 'hex'))) throw mismatch(id);
}

const hmac = (key: Buffer | string, text: string): Buffer => createHmac('sha256', key).update(text).digest();

function canonicalHash({ method, path, query, headers }: SignedRequest, names: string): string {
  const signed = names.split(';');
  if (!signed.includes('host')) throw malformed('The header host must be signed.');
  const pairs = [...query].map(([name, value]) => [encodeBytes(name), encodeBytes(value)] as const);
  // By the names alone: `a-b=` comes behind `a=`, although its text comes before.
  pairs.sort(([a, x], [b, y]) => compareBytes(a, b) || compareBytes(x, y));
  const lines = signed.map((name) => `${name}:${(headers[name] ?? '').trim().replace(/ +/g, ' ')}\n`);
  const payload = headers['x-amz-content-sha256'];
  if (payload === undefined) throw malformed('The header x-amz-content-sha256 is missing.');
  const canonical = [
    method,
    encodeBytes(path, '/'),
    pairs.map((pair) => pair.join('=')).join('&'),
    lines.join(''),
    names,
    payload,
  ].join('\n');
  return createHash('sha256').update(canonical).digest('hex');
}

/** Of a time like 20260102T030405Z. */
function timeOf(text: string): number {
  return Date.parse(text.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
}

const malformed = (message: string) => new S3Failure(400, 'AuthorizationHeaderMalformed', message);

const wrongRegion = (given: string, expected: string) =>
  new S3Failure(
    400,
    'AuthorizationHeaderMalformed',
    `The authorization header is malformed; the region '${given}' is wrong; expecting '${expected}'`,
    { details: { Region: expected }, headers: { 'x-amz-bucket-region': expected } },
  );

const unknownKey = (id: string) =>
  new S3Failure(403, 'InvalidAccessKeyId', 'The access key ID does not exist in our records.', {
    details: { AWSAccessKeyId: id },
  });

const mismatch = (id: string) =>
  new S3Failure(403, 'SignatureDoesNotMatch', 'The signature is not the one that we calculated.', {
    details: { AWSAccessKeyId: id },
  });

const skewed = () =>
  new S3Failure(403, 'RequestTimeTooSkewed', "The request's time is too far from the server's.");
