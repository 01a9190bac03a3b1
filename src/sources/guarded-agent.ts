import { Agent } from 'undici';
import type { AddressPolicy } from './addresses.ts';
import { createGuardedConnect, type ResolveHost } from './guarded-connect.ts';

export interface GuardedAgentOptions {
  /** Which addresses may be reached. */
  readonly policy: AddressPolicy;
  /** Resolves host names, instead of the system's resolver. */
  readonly lookup?: ResolveHost | undefined;
  readonly connectTimeoutMs?: number | undefined;
  /** From the request to the end of the answer's headers. */
  readonly headersTimeoutMs?: number | undefined;
  /** How long a body may stay below 1 KB/s. */
  readonly stallTimeoutMs?: number | undefined;
  /** Certificate authorities in PEM, instead of Node's own. */
  readonly ca?: string | undefined;
}

/** How long a body may stay below 1 KB/s unless somebody says otherwise, in milliseconds. */
export const STALL_TIMEOUT_MS = 30_000;

/**
 * Makes the one way out for requests whose host somebody else chose: connects only to addresses that the policy lets it,
 * by the very address that was checked, and never through a proxy that the environment names. It follows no redirects.
 * Whoever made it ends its connections with `destroy`.
 */
export function createGuardedAgent(options: GuardedAgentOptions): Agent {
  const { connectTimeoutMs = 10_000, headersTimeoutMs = 30_000, stallTimeoutMs = STALL_TIMEOUT_MS } = options;
  return new Agent({
    connect: createGuardedConnect({
      policy: options.policy,
      resolve: options.lookup,
      timeoutMs: connectTimeoutMs,
      ca: options.ca,
    }),
    headersTimeout: headersTimeoutMs,
    // A backstop for bodies that nobody reads; those that are read have the stall guard.
    bodyTimeout: stallTimeoutMs * 2,
  });
}
