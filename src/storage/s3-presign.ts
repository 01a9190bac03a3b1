import { StorageError } from './adapter.ts';
import type { S3Bucket } from './s3-bucket.ts';

/** What a signature of S3 holds for at most, in seconds. */
const MAX_SECONDS = 7 * 86_400;

/** How an object is to be answered, and until when its URL holds. */
export interface PresignOptions {
  readonly until: Date;
  readonly mimeType: string;
  readonly disposition: string;
}

/**
 * A URL with a signature, at which the store gives an object to whoever has it, whole or in ranges. Nothing is asked of the
 * store.
 * @throws {StorageError} when there are no credentials to sign with
 */
export async function presignObject(
  bucket: S3Bucket,
  key: string,
  { until, mimeType, disposition }: PresignOptions,
): Promise<string> {
  const { GetObjectCommand } = await import('@aws-sdk/client-s3');
  const command = new GetObjectCommand({
    Bucket: bucket.name,
    Key: bucket.nameOf(key),
    ResponseContentType: mimeType,
    ResponseContentDisposition: disposition,
  });
  const seconds = Math.floor((until.getTime() - Date.now()) / 1000);
  return await bucket.call('GetObject', async (s3) => {
    let url: string | undefined;
    // The request is made as for sending, and taken before it is signed and sent: the SDK knows how stores are named in URLs.
    command.middlewareStack.addRelativeTo(
      () =>
        async ({ request }: { readonly request?: unknown }) => {
          const signer = await s3.config.signer();
          url = toUrl(
            await presigned(signer, request, { expiresIn: Math.min(Math.max(seconds, 1), MAX_SECONDS) }),
          );
          return { response: {}, output: { $metadata: {} } };
        },
      { name: 'presign', relation: 'before', toMiddleware: 'httpSigningMiddleware' },
    );
    await s3.send(command);
    return url ?? cannotSign();
  });
}

/** What the SDK hands from one part of it to the next, as far as it is of use here. */
interface Request {
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number | undefined;
  readonly path: string;
  readonly query: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;
}

interface Presigner {
  presign(request: Request, options: { readonly expiresIn: number }): Promise<Request>;
}

async function presigned(
  signer: unknown,
  request: unknown,
  options: { readonly expiresIn: number },
): Promise<Request> {
  if (!canPresign(signer) || !isRequest(request)) return cannotSign();
  const { host = '' } = request.headers;
  const { 'x-amz-user-agent': _, ...query } = request.query;
  // Whoever has the URL sends headers of its own, so that none but the host is signed.
  const headers = { host, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' };
  return await signer.presign({ ...request, query, headers }, options);
}

const canPresign = (signer: unknown): signer is Presigner =>
  typeof signer === 'object' && signer !== null && 'presign' in signer;

const isRequest = (request: unknown): request is Request =>
  typeof request === 'object' && request !== null && 'headers' in request && 'query' in request;

function toUrl({ protocol, hostname, port, path, query }: Request): string {
  const url = new URL(`${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path}`);
  // As it was signed: a space is %20 there, and a plus in a form.
  url.search = Object.entries(query)
    .map(([name, value]) => `${encode(name)}=${encode(String(value))}`)
    .join('&');
  return url.href;
}

const encode = (text: string): string =>
  encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );

function cannotSign(): never {
  throw new StorageError('UNAVAILABLE', 'No URL of the store could be signed.');
}
