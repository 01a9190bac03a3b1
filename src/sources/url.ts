import type { HttpClient } from './http-client.ts';
import { ifRangeOf } from './http-headers.ts';
import { firstRange, type GetPart, openAnswered, type RemoteFile } from './remote-file.ts';

/**
 * Opens a file with one GET of its beginning, 64 KiB unless told otherwise; there is no HEAD, which many servers and all signed URLs refuse.
 * @throws {SourceError} by status, declared type, or because the file is empty.
 */
export async function openUrl(
  client: HttpClient,
  url: URL,
  { firstBytes, signal }: { readonly firstBytes?: number | undefined; readonly signal: AbortSignal },
): Promise<RemoteFile> {
  const first = await client.get(url, { signal, headers: { range: firstRange(firstBytes) } });
  // Redirects often lead to a signed URL that serves for minutes: go there at once, and the whole way again if it ends.
  let at = first.url;
  const get: GetPart = async (request) => {
    const init = { signal: request.signal, headers: headersOf(request) };
    const response = await client.get(at, init);
    if (response.status < 400 || at === url) return response;
    response.discard();
    at = url;
    return client.get(at, init);
  };
  return openAnswered(first, get, signal);
}

const headersOf = ({ range, version }: Parameters<GetPart>[0]): Record<string, string> => ({
  ...(range === null ? {} : { range }),
  ...(range === null || version === null ? {} : { 'if-range': ifRangeOf(version) }),
});
