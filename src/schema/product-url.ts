import type { MediaUrls } from '../services/media-urls.ts';

/** The signed URL to a file of a video's product. */
export function productUrl(
  mediaUrls: MediaUrls,
  { id, teamId }: { readonly id: string; readonly teamId: string },
  { prefix, path }: { readonly prefix: string; readonly path: string },
): string {
  const made = (mediaUrls as unknown as { urlForProduct?: (x: unknown) => string }).urlForProduct; // TEMP
  return made ? made({ teamId, videoId: id, prefix, path }) : `stub/${path}`;
}
