import { SourceError } from './errors.ts';

const MAX_RETRY_AFTER_SECONDS = 3600;

/** Client errors that say "later", beside all of 5xx: RFC 9110 (408), RFC 8470 (425), RFC 6585 (429). */
const PASSING_STATUSES: ReadonlySet<number> = new Set([408, 425, 429]);

/**
 * The error for a response that is neither a success nor a redirect.
 * @param host of the URL, for the message
 * @param retryAfter the header's text, if there is one
 */
export function errorOfStatus(status: number, host: string, retryAfter: string | undefined): SourceError {
  if (status === 404 || status === 410) {
    return new SourceError(
      'SOURCE_NOT_FOUND',
      `${host} has no file at this URL (HTTP ${status}); check the URL.`,
    );
  }
  if (status === 401 || status === 403) {
    const message = `${host} does not let us read this URL (HTTP ${status}); use a public URL, or a signed one that has not expired.`;
    return new SourceError('SOURCE_NOT_AUTHORIZED', message);
  }
  if (status >= 500 || PASSING_STATUSES.has(status)) {
    const message = `${host} cannot give the file at the moment (HTTP ${status}).`;
    return unavailable(message, { retryable: true, retryAfterSeconds: parseRetryAfter(retryAfter) });
  }
  return unavailable(`${host} answered with HTTP ${status} instead of the file; check the URL.`);
}

/**
 * Reads a Retry-After header: seconds, or an HTTP date (RFC 9110, section 10.2.3).
 * @returns whole seconds from now, from 0 to an hour or what is given as the most; undefined if there is none or it cannot be
 *   read.
 */
export function parseRetryAfter(
  text: string | undefined,
  now = Date.now(),
  maxSeconds = MAX_RETRY_AFTER_SECONDS,
): number | undefined {
  if (text === undefined) return undefined;
  const seconds = /^\d+$/.test(text.trim()) ? Number(text) : Math.ceil((Date.parse(text) - now) / 1000);
  return Number.isNaN(seconds) ? undefined : Math.min(Math.max(seconds, 0), maxSeconds);
}

/** SOURCE_UNAVAILABLE with this sentence. */
export function unavailable(
  message: string,
  options: {
    readonly retryable?: boolean;
    readonly retryAfterSeconds?: number | undefined;
    readonly cause?: unknown;
  } = {},
): SourceError {
  return new SourceError('SOURCE_UNAVAILABLE', message, options);
}

/**
 * Turns what Node or undici threw during a request into a SourceError; one that is a SourceError already stays itself.
 * Aborts by the caller's own signal are not for this function.
 */
export function errorOfNetwork(error: unknown, host: string): SourceError {
  if (error instanceof SourceError) return error;
  const code = codeOf(error);
  const retryable = code !== 'ENOTFOUND';
  return unavailable(`${sentenceOf(code, host)}`, { retryable, cause: error });
}

function sentenceOf(code: string, host: string): string {
  if (code === 'ENOTFOUND') return `There is no host ${host}; check the URL.`;
  if (code === 'EAI_AGAIN') return `The address of ${host} could not be looked up.`;
  if (code === 'ECONNREFUSED') return `${host} refused the connection.`;
  if (TIMEOUTS.has(code)) return `${host} did not answer in time.`;
  if (isCertificateError(code)) {
    return `The certificate of ${host} is not valid (${code}); its operator has to replace it.`;
  }
  if (code.startsWith('HPE_') || code === 'UND_ERR_HEADERS_OVERFLOW')
    return `${host} sent an answer that is no valid HTTP.`;
  return `The connection to ${host} was cut.`;
}

const TIMEOUTS: ReadonlySet<string> = new Set([
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
]);

/** The codes that OpenSSL's verification ends with: https://nodejs.org/docs/latest-v20.x/api/tls.html#x509-certificate-error-codes */
function isCertificateError(code: string): boolean {
  return /CERT|SELF_SIGNED|^UNABLE_TO_|CRL|^INVALID_(CA|PURPOSE)|^HOSTNAME_MISMATCH/.test(code);
}

/** The first `code` along the chain of causes; the errors of several tried addresses come in an AggregateError. */
function codeOf(error: unknown): string {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 5; depth++) {
    if ('code' in at && typeof at.code === 'string') return at.code;
    at = at instanceof AggregateError ? at.errors[0] : at.cause;
  }
  return '';
}
