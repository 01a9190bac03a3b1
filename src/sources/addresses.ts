import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Ports that public addresses may be reached on. */
const PUBLIC_PORTS: ReadonlySet<number> = new Set([80, 443, 8080, 8443]);

/** The part of IPv6 from which global addresses are given out: https://www.iana.org/assignments/ipv6-unicast-address-assignments */
const GLOBAL_IPV6 = ipaddr.IPv6.parseCIDR('2000::/3');

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** Addresses that the operator lets outgoing requests reach although they are not public. */
export interface AllowedAddress {
  readonly network: Address;
  readonly prefixLength: number;
  /** Null: any port. */
  readonly port: number | null;
}

/** Decides which addresses outgoing requests may reach. */
export interface AddressPolicy {
  /** Whether a connection may go to this literal IP address (without brackets) and port. */
  check(address: string, port: number): boolean;
}

/**
 * Makes the policy for outgoing requests: globally routable unicast addresses on ports 80, 443, 8080 and 8443, and
 * whatever `allow` names (see `parseAllowedAddress`). Addresses that carry an IPv4 address inside (NAT64, 6to4, Teredo,
 * IPv4-compatible) are refused; an IPv4-mapped one counts as the IPv4 address that it is.
 * @throws {Error} when a part of `allow` cannot be read.
 */
export function createAddressPolicy(options: { readonly allow: readonly string[] }): AddressPolicy {
  const allowed = options.allow.map(parseAllowedAddress);
  return {
    check(text, port) {
      const address = parseAddress(text);
      if (address === null) return false;
      if (allowed.some((entry) => covers(entry, address, port))) return true;
      return PUBLIC_PORTS.has(port) && isPublic(address);
    },
  };
}

/**
 * Reads one address or CIDR, optionally with a port: `10.0.0.0/8`, `127.0.0.1:9000`, `127.0.0.1/32:9000`, `fd00::/8`,
 * `[::1]:8080`, `[::1]/128:8080`.
 * @throws {Error} saying what is wrong with it.
 */
export function parseAllowedAddress(text: string): AllowedAddress {
  const { host, prefix, port } = splitAllowed(text.trim());
  const address = parseAddress(host);
  if (address === null) {
    throw new Error(`"${text}" is no address; write it like 10.0.0.0/8, 127.0.0.1/32:9000 or [::1]/128:8080`);
  }
  // A mapped address became an IPv4 one, 96 bits shorter.
  const given = isIP(host) === 6 && address.kind() === 'ipv4' ? 96 : 0;
  const bits = address.kind() === 'ipv4' ? 32 : 128;
  const prefixLength = prefix === undefined ? bits : Number(prefix) - given;
  if (prefixLength < 0 || prefixLength > bits) {
    throw new Error(`"${text}": the prefix length must be between ${given} and ${bits + given}`);
  }
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65_535)) {
    throw new Error(`"${text}": the port must be between 1 and 65535`);
  }
  return { network: address, prefixLength, port: port === undefined ? null : Number(port) };
}

/** The parts of an allowed address; the host is empty if it cannot be read. */
function splitAllowed(text: string) {
  const match =
    /^\[(?<host>[^\]/]+)\](?:\/(?<prefix>\d{1,3}))?(?::(?<port>\d{1,5}))?$/.exec(text) ??
    /^(?<host>[^[\]/]*:[^[\]/]*:[^[\]/]*)(?:\/(?<prefix>\d{1,3})(?::(?<port>\d{1,5}))?)?$/.exec(text) ??
    /^(?<host>[^[\]/:]+)(?:\/(?<prefix>\d{1,3}))?(?::(?<port>\d{1,5}))?$/.exec(text);
  return { host: match?.groups?.host ?? '', prefix: match?.groups?.prefix, port: match?.groups?.port };
}

function parseAddress(text: string): Address | null {
  const family = isIP(text);
  // A zone names an interface of this machine: never something public.
  if (family === 0 || text.includes('%')) return null;
  // ipaddr.js takes ::8.8.8.8 for ::ffff:8.8.8.8, while a socket does not: let the URL parser write it in hex first.
  return ipaddr.process(family === 4 ? text : new URL(`http://[${text}]`).hostname.slice(1, -1));
}

function covers(entry: AllowedAddress, address: Address, port: number): boolean {
  if (entry.port !== null && entry.port !== port) return false;
  // ipaddr.js throws when the two kinds differ.
  return (
    entry.network.kind() === address.kind() &&
    address.match([entry.network, entry.prefixLength] as [never, number])
  );
}

/** By the ranges that are public, not by those that are not: a range that nobody thought of stays closed. */
function isPublic(address: Address): boolean {
  if (address.range() !== 'unicast') return false;
  return address instanceof ipaddr.IPv4 || address.match(GLOBAL_IPV6);
}
