import { lookup as systemLookup } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import { buildConnector } from 'undici';
import type { AddressPolicy } from './addresses.ts';
import { forbiddenAddress } from './video-url.ts';

interface ResolvedAddress {
  readonly address: string;
  readonly family: number;
}

/** All addresses of a host name; rejects with a DNS error of Node (`code` ENOTFOUND, EAI_AGAIN …). */
export type ResolveHost = (hostname: string) => Promise<readonly ResolvedAddress[]>;

export interface GuardedConnectOptions {
  readonly policy: AddressPolicy;
  readonly resolve?: ResolveHost | undefined;
  /** For the name's resolution and for the connection, each. */
  readonly timeoutMs: number;
  /** Certificate authorities in PEM, instead of Node's own. */
  readonly ca?: string | undefined;
}

const resolveBySystem: ResolveHost = (hostname) => systemLookup(hostname, { all: true });

/**
 * A connector for undici that reaches only what the policy lets it. A name is resolved once, every address of the
 * answer is checked, and the connection goes to those very addresses, so that a second, different answer of the DNS
 * server changes nothing. Fails with SourceError SOURCE_FORBIDDEN_ADDRESS, or with the error of Node or undici.
 */
export function createGuardedConnect(options: GuardedConnectOptions): buildConnector.connector {
  const resolve = options.resolve ?? resolveBySystem;
  return (target, callback) => {
    const port = Number(target.port) || (target.protocol === 'https:' ? 443 : 80);
    const connect = async () => {
      const addresses = await withDeadline(addressesOf(target.hostname, resolve), options.timeoutMs);
      if (!areAllowed(addresses, port, options.policy)) throw forbiddenAddress();
      connectTo(addresses, { options, target, callback });
    };
    connect().catch((error: Error) => callback(error, null));
  };
}

/**
 * Whether a host has an address that may not be reached, as far as can be told without connecting to it. A name that cannot
 * be resolved now may be later: nothing speaks against it.
 */
export async function isForbiddenHost(
  { host, port }: { readonly host: string; readonly port: number },
  { policy, resolve = resolveBySystem, timeoutMs }: GuardedConnectOptions,
): Promise<boolean> {
  try {
    return !areAllowed(await withDeadline(addressesOf(host, resolve), timeoutMs), port, policy);
  } catch {
    return false;
  }
}

const areAllowed = (addresses: readonly ResolvedAddress[], port: number, policy: AddressPolicy): boolean =>
  addresses.every(({ address }) => policy.check(address, port));

interface Attempt {
  readonly options: GuardedConnectOptions;
  readonly target: buildConnector.Options;
  readonly callback: buildConnector.Callback;
}

function connectTo(addresses: readonly ResolvedAddress[], { options, target, callback }: Attempt): void {
  const connect = buildConnector({
    timeout: options.timeoutMs,
    lookup: answering(addresses),
    autoSelectFamily: addresses.length > 1,
    // Node's own 250 ms give up on addresses that are merely far away.
    autoSelectFamilyAttemptTimeout: Math.min(1000, options.timeoutMs),
    ...(options.ca === undefined ? {} : { ca: options.ca }),
    // A connector of its own for each connection: there is no second one that could resume a session.
    maxCachedSessions: 0,
  } as buildConnector.BuildOptions); // The type is a union that knows `lookup` only beside a fixed host and port.
  connect(target, (...[error, socket]: Parameters<buildConnector.Callback>) => {
    if (error !== null) return callback(error, null);
    // The last line of defence: what is at the other end, not what we asked for.
    if (!options.policy.check(socket.remoteAddress ?? '', socket.remotePort ?? 0)) {
      socket.destroy();
      return callback(forbiddenAddress(), null);
    }
    callback(null, socket);
  });
}

/** Node does not ask a lookup hook about literal addresses: they come this way to be checked all the same. */
async function addressesOf(hostname: string, resolve: ResolveHost): Promise<readonly ResolvedAddress[]> {
  const family = isIP(hostname);
  if (family !== 0) return [{ address: hostname, family }];
  const addresses = await resolve(hostname);
  if (addresses.length === 0) throw Object.assign(new Error('no address'), { code: 'ENOTFOUND' });
  return addresses;
}

/** A lookup function that knows only these addresses. */
function answering(addresses: readonly ResolvedAddress[]): LookupFunction {
  return (_hostname, options, callback) => {
    const [first] = addresses;
    if (options.all === true) return callback(null, [...addresses]);
    callback(null, first?.address ?? '', first?.family);
  };
}

async function withDeadline<T>(work: Promise<T>, milliseconds: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_resolve, reject) => {
    const error = Object.assign(new Error('name resolution timed out'), { code: 'EAI_AGAIN' });
    timer = setTimeout(() => reject(error), milliseconds);
  });
  try {
    return await Promise.race([work, expired]);
  } finally {
    clearTimeout(timer);
  }
}
