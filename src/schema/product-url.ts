import type { MediaUrls } from '../services/media-urls.ts';

/** The signed URL to a file of a video's product. */
export function productUrl(
  mediaUrls: MediaUrls,
  { id, teamId }: { readonly id: string; readonly teamId: string },
  { prefix, path }: { readonly prefix: string; readonly path: string },
): string {
  return mediaUrls.urlForProduct({ teamId, videoId: id, prefix, path });
}
