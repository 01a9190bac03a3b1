import { isIP } from 'node:net';
import type { AddressPolicy } from './addresses.ts';
import { SourceError } from './errors.ts';

const MAX_URL_LENGTH = 8192;

export type ParsedVideoUrl =
  | { readonly ok: true; readonly url: URL }
  | { readonly ok: false; readonly message: string };

/**
 * Reads the URL of a video: http or https, no user info, at most 8,192 characters. Reads only: whether its address may
 * be reached is another question. The message never repeats the text, which may hold a password.
 * @param example what such a URL looks like, for the message
 */
export function parseVideoUrl(text: string, example = 'https://example.com/video.mp4'): ParsedVideoUrl {
  if (text.length > MAX_URL_LENGTH) return refused(`The URL must have at most ${MAX_URL_LENGTH} characters.`);
  if (!URL.canParse(text)) return refused(`This is not a URL; it must look like ${example}.`);
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    return refused('The URL must begin with http:// or https://.');
  if (url.username !== '' || url.password !== '') {
    return refused('The URL must not hold a user name or a password; use a signed URL instead.');
  }
  url.hash = '';
  return { ok: true, url };
}

const refused = (message: string): ParsedVideoUrl => ({ ok: false, message });

/** The port that a request to this URL goes to. */
export function portOf(url: URL): number {
  if (url.port !== '') return Number(url.port);
  return url.protocol === 'https:' ? 443 : 80;
}

/** The host of a URL as `net.connect` takes it: IPv6 addresses without their brackets. */
export function hostOf(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, '$1');
}

/**
 * Judges what the URL alone tells, without asking DNS: literal addresses (in any spelling, the URL parser has made them
 * plain) and the names for this machine. Null if nothing speaks against it; a name is judged again when it is resolved.
 */
export function checkUrlAddress(policy: AddressPolicy, url: URL): SourceError | null {
  const host = hostOf(url).toLowerCase().replace(/\.$/, '');
  const port = portOf(url);
  if (isIP(host) !== 0) return policy.check(host, port) ? null : forbiddenAddress();
  // RFC 6761, section 6.3: these names always mean the loopback.
  if (host !== 'localhost' && !host.endsWith('.localhost')) return null;
  return policy.check('127.0.0.1', port) || policy.check('::1', port) ? null : forbiddenAddress();
}

/** One message for every forbidden address, whatever is or is not there: it must not help to scan a network. */
export function forbiddenAddress(): SourceError {
  return new SourceError(
    'SOURCE_FORBIDDEN_ADDRESS',
    'The URL leads to an address that this server does not connect to; use a public address on port 80, 443, 8080 or 8443, or ask the operator to allow it.',
  );
}
