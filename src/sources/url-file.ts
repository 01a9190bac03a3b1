import { type KnownPart, readAnswer } from './download-answer.ts';
import type { HttpClient } from './http-client.ts';
import { ifRangeOf } from './http-headers.ts';
import type { SourceAnswer, SourceFile } from './source.ts';
import { openUrl } from './url.ts';

/** The file behind a URL. It is asked for by GET only, and the rest of it only by a version that its server told. */
export function createUrlFile(client: HttpClient, url: URL): SourceFile {
  return {
    origin: url.origin,
    open: ({ firstBytes, signal }) => openUrl(client, url, { firstBytes, signal }),
    request: (known, signal) => request(client, url, { known, signal }),
  };
}

interface RequestOptions {
  readonly known: KnownPart;
  readonly signal: AbortSignal;
}

async function request(
  client: HttpClient,
  url: URL,
  { known, signal }: RequestOptions,
): Promise<SourceAnswer> {
  const response = await client.get(url, { signal, headers: rangeHeaders(known) });
  try {
    const { body, discard } = response;
    return { answer: readAnswer(response, known), host: response.url.hostname, body, discard };
  } catch (error) {
    response.discard();
    throw error;
  }
}

function rangeHeaders({ bytes, version }: KnownPart): Record<string, string> {
  return bytes > 0 && version !== null ? { range: `bytes=${bytes}-`, 'if-range': ifRangeOf(version) } : {};
}
