import type { IncomingMessage } from 'node:http';
import proxyAddr from '@fastify/proxy-addr';

/** The address of the client that a request comes from. */
export type AddressReader = (request: IncomingMessage) => string | undefined;

/**
 * Makes a reader of addresses: the peer's, unless that is a proxy that is trusted; then, of those that X-Forwarded-For names,
 * the last that is none. Whoever is not trusted may write there what he likes.
 * @param trusted addresses or networks
 */
export function createAddressReader(trusted: readonly string[]): AddressReader {
  if (trusted.length === 0) return ({ socket }) => socket.remoteAddress;
  const isTrusted = proxyAddr.compile([...trusted]);
  return (request) => proxyAddr(request, isTrusted);
}
