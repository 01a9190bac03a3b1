import type { Viewer } from '../services/viewer.ts';

/** Finds the viewer behind an API key; null for a key that is none (any more). */
export type Authenticate = (key: string) => Promise<Viewer | null>;

/** Whether what is shown in place of a key is a token for one upload. */
export const isUploadToken = (key: string): boolean => key.startsWith('slu_');

const BEARER = /^Bearer +(sl[cu]_[A-Za-z0-9_-]{32,200})$/i;

/** The API key, or the upload token, of an Authorization header, or of the same text in a socket's connectionParams; null when there is none. */
export function bearerKey(authorization: unknown): string | null {
  return typeof authorization === 'string' ? (BEARER.exec(authorization.trim())?.[1] ?? null) : null;
}
