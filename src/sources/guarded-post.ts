import { request } from 'undici';
import { createAddressPolicy } from './addresses.ts';
import type { SourceError } from './errors.ts';
import { createGuardedAgent } from './guarded-agent.ts';
import { isForbiddenHost, type ResolveHost } from './guarded-connect.ts';
import { errorOfNetwork, parseRetryAfter } from './http-errors.ts';
import { headerReader } from './http-headers.ts';
import { checkUrlAddress, forbiddenAddress, hostOf, portOf } from './video-url.ts';

/** The guarded way out for messages to URLs that somebody else chose. */
export interface Poster {
  /** Why a URL cannot be posted to, as far as its address tells; null if nothing speaks against it now. */
  check(url: URL): Promise<SourceError | null>;
  /**
   * POSTs once, over a connection of its own, and follows no redirect.
   * @throws {SourceError} SOURCE_FORBIDDEN_ADDRESS, or SOURCE_UNAVAILABLE when no answer came.
   * @throws the reason of the signal, when it aborts before the answer.
   */
  post(url: URL, message: Message): Promise<PostAnswer>;
  /** Ends all connections at once. */
  close(): Promise<void>;
}

interface Message {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly signal: AbortSignal;
}

export interface PostAnswer {
  readonly status: number;
  /** How long we are asked to wait, at most a day. */
  readonly retryAfterSeconds: number | undefined;
}

export interface PosterOptions {
  /** Addresses that may be reached though they are not public; see `parseAllowedAddress`. */
  readonly allowAddresses: readonly string[];
  /** Resolves host names, instead of the system's resolver. */
  readonly lookup?: ResolveHost | undefined;
  /** Certificate authorities in PEM, instead of Node's own. */
  readonly ca?: string;
}

/** Nobody reads what a receiver says beyond its status: it is read so that it need not see its connection cut. */
const MAX_ANSWER_BYTES = 65_536;
const MAX_RETRY_AFTER_SECONDS = 86_400;
const CHECK_MS = 2_000;

/**
 * Makes the poster: connects only to addresses that are public or allowed, each time by the very address that was checked.
 * @throws {Error} when an allowed address cannot be read.
 */
export function createPoster({ allowAddresses, lookup, ca }: PosterOptions): Poster {
  const policy = createAddressPolicy({ allow: allowAddresses });
  const agent = createGuardedAgent({ policy, lookup, ca });
  return {
    async check(url) {
      const refusal = checkUrlAddress(policy, url);
      if (refusal !== null) return refusal;
      const target = { host: hostOf(url), port: portOf(url) };
      const isForbidden = await isForbiddenHost(target, { policy, resolve: lookup, timeoutMs: CHECK_MS });
      return isForbidden ? forbiddenAddress() : null;
    },
    async post(url, { headers, body, signal }) {
      const refusal = checkUrlAddress(policy, url);
      if (refusal !== null) throw refusal;
      try {
        const answer = await request(url, {
          method: 'POST',
          dispatcher: agent,
          headers: { 'user-agent': 'sluice', accept: '*/*', ...headers },
          body,
          signal,
          // One that was kept alive would lead to an address that was checked long ago, or be closed by now.
          reset: true,
        });
        // The answer is there: what becomes of its body changes nothing.
        await answer.body.dump({ limit: MAX_ANSWER_BYTES, signal }).catch(() => {});
        const retryAfter = headerReader(answer.headers)('retry-after');
        return {
          status: answer.statusCode,
          retryAfterSeconds: parseRetryAfter(retryAfter, Date.now(), MAX_RETRY_AFTER_SECONDS),
        };
      } catch (error) {
        signal.throwIfAborted();
        throw errorOfNetwork(error, url.hostname);
      }
    },
    close: () => agent.destroy(),
  };
}
