import type { SecretBox, SecretOwner } from './secret-box.ts';

/** What tells a sealed URL from a plain one: no URL of a video has this scheme. */
export const SEALED_URL_PREFIX = 'sealed:';

/** What the URLs of videos are bound to: their team. */
export const ownerOfUrl = (teamId: string): SecretOwner => ({ purpose: 'source-url', teamId, rowId: '' });

/**
 * What is stored of a video's URL: the URL itself, or encrypted if it has a query or a fragment, for those may carry
 * secrets (signed URLs do).
 */
export function sealUrl(secrets: SecretBox, url: string, teamId: string): string {
  return /[?#]/.test(url) ? SEALED_URL_PREFIX + secrets.seal(url, ownerOfUrl(teamId)) : url;
}

/**
 * The URL behind what `sealUrl` gave, also one of a time before URLs were encrypted.
 * @throws {SecretBoxError} when it cannot be read: it is another team's, was changed, or its key is not known
 */
export function openUrl(secrets: SecretBox, stored: string, teamId: string): string {
  if (!stored.startsWith(SEALED_URL_PREFIX)) return stored;
  return secrets.open(stored.slice(SEALED_URL_PREFIX.length), ownerOfUrl(teamId));
}
