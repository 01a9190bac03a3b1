import type { Logger } from 'pino';
import { errors, request } from 'undici';
import { createAddressPolicy } from './addresses.ts';
import type { SourceError } from './errors.ts';
import { createGuardedAgent, STALL_TIMEOUT_MS } from './guarded-agent.ts';
import { guardBody } from './guarded-body.ts';
import type { ResolveHost } from './guarded-connect.ts';
import { errorOfNetwork, unavailable } from './http-errors.ts';
import { type HeaderReader, headerReader } from './http-headers.ts';

import { checkUrlAddress, parseVideoUrl } from './video-url.ts';

/** The one way out for requests whose URL somebody else chose. */
export interface HttpClient {
  /**
   * GETs a URL, following redirects, and answers with whatever status comes in the end.
   * @throws {SourceError} SOURCE_FORBIDDEN_ADDRESS, or SOURCE_UNAVAILABLE when no answer came.
   * @throws the reason of the signal, when it aborts.
   */
  get(url: URL, options: GetOptions): Promise<HttpResponse>;
  /** Ends all connections at once. */
  close(): Promise<void>;
}

interface GetOptions {
  readonly signal: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface HttpResponse {
  readonly status: number;
  /** The URL that answered, after redirects. */
  readonly url: URL;
  readonly header: HeaderReader;
  /**
   * Chunks as they come. Fails with a retryable SourceError when the connection is cut or stands still, with the
   * signal's reason when it aborts. Leaving the loop early closes the connection.
   */
  readonly body: AsyncIterable<Uint8Array>;
  /** Gives the body up, read or not. */
  discard(): void;
}

export interface HttpClientOptions {
  /** Addresses that may be reached though they are not public; see `parseAllowedAddress`. */
  readonly allowAddresses: readonly string[];
  readonly log?: Logger;
  /** Resolves host names, instead of the system's resolver. */
  readonly lookup?: ResolveHost;
  readonly connectTimeoutMs?: number;
  /** From the request to the end of the answer's headers. */
  readonly headersTimeoutMs?: number;
  /** How long a body may stay below 1 KB/s. */
  readonly stallTimeoutMs?: number;
  readonly maxRedirects?: number;
  readonly userAgent?: string;
  /** Certificate authorities in PEM, instead of Node's own. */
  readonly ca?: string;
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/**
 * Makes the guarded client: connects only to addresses that are public or allowed, by the very address that was
 * checked, at every hop anew; never through a proxy that the environment names; without credentials or cookies.
 * @throws {Error} when an allowed address cannot be read.
 */
export function createHttpClient(options: HttpClientOptions): HttpClient {
  const { stallTimeoutMs = STALL_TIMEOUT_MS, maxRedirects = 5 } = options;
  const policy = createAddressPolicy({ allow: options.allowAddresses });
  const agent = createGuardedAgent({ ...options, policy });
  const fixed = { 'user-agent': options.userAgent ?? 'sluice', accept: '*/*', 'accept-encoding': 'identity' };

  async function send(url: URL, { headers, signal }: GetOptions): Promise<HttpResponse> {
    const refusal = checkUrlAddress(policy, url);
    if (refusal !== null) throw refusal;
    try {
      const init = { dispatcher: agent, headers: { ...fixed, ...headers }, signal };
      const answer = await retryStaleConnection(() => request(url, init));
      options.log?.debug({ host: url.hostname, status: answer.statusCode }, 'source answered');
      const { statusCode: status, headers: answered, body } = answer;
      const guarded = guardBody(body, { host: url.hostname, stallTimeoutMs, signal });
      return { status, url, header: headerReader(answered), ...guarded };
    } catch (error) {
      signal.throwIfAborted();
      throw logged(errorOfNetwork(error, url.hostname), url);
    }
  }

  function logged(error: SourceError, url: URL): SourceError {
    options.log?.debug({ host: url.hostname, code: error.code, cause: error.cause }, 'source did not answer');
    return error;
  }

  return {
    async get(url, init) {
      let at = url;
      for (let hops = 0; hops <= maxRedirects; hops++) {
        const response = await send(at, init);
        const location = response.header('location');
        if (!REDIRECTS.has(response.status) || location === undefined) return response;
        response.discard();
        at = redirectTarget(at, location);
      }
      throw unavailable(
        `${url.hostname} redirects more than ${maxRedirects} times; use the URL of the file itself.`,
      );
    },
    close: () => agent.destroy(),
  };
}

/**
 * A server may close a connection that it kept alive in the moment in which the next request goes out on it. That says
 * nothing about the source, so the request is sent once more, as RFC 9110, section 9.2.2 allows for GET.
 */
export async function retryStaleConnection<T>(send: () => Promise<T>): Promise<T> {
  try {
    return await send();
  } catch (error) {
    if (error instanceof errors.SocketError && (error.socket?.bytesRead ?? 0) > 0) return send();
    throw error;
  }
}

/** Where a redirect leads; refuses what a URL of a video may not be, and the step from https to http. */
function redirectTarget(from: URL, location: string): URL {
  const target = URL.canParse(location, from.href) ? parseVideoUrl(new URL(location, from).href) : null;
  if (target === null || !target.ok) {
    throw unavailable(
      `${from.hostname} redirects to something that is no plain http or https URL; use the URL of the file itself.`,
    );
  }
  if (from.protocol === 'https:' && target.url.protocol === 'http:') {
    throw unavailable(`${from.hostname} redirects from https to http; use the URL of the file itself.`);
  }
  return target.url;
}
