import { once } from 'node:events';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';

/** What a request for an upload is answered with. */
export interface TusAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface TusRequest {
  readonly method: string;
  /** A path, or a whole URL. */
  readonly at?: string;
  readonly headers?: Readonly<Record<string, string | number>>;
  readonly body?: Uint8Array;
}

/** Sends requests for uploads as they are. */
export interface TusClient {
  send(request: TusRequest): Promise<TusAnswer>;
  /** Begins an upload. @returns its path */
  begin(length: number, metadata?: Readonly<Record<string, string>>): Promise<string>;
  /** Sends bytes behind the first `offset`. */
  patch(path: string, offset: number, body: Uint8Array): Promise<TusAnswer>;
  /** How many bytes the server has. */
  offset(path: string): Promise<number>;
  /** Begins an upload and sends all of it. @returns its path */
  bring(bytes: Uint8Array, metadata?: Readonly<Record<string, string>>): Promise<string>;
}

/** The id of an upload, as the API takes it. */
export const idOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

export const metadataHeader = (metadata: Readonly<Record<string, string>>): string =>
  Object.entries(metadata)
    .map(([key, value]) => `${key} ${Buffer.from(value).toString('base64')}`)
    .join(',');

/** Makes a client of the server at `url` with a key; null shows none. */
export function createTusClient({
  url,
  key,
}: {
  readonly url: string;
  readonly key: string | null;
}): TusClient {
  const client: TusClient = {
    async send({ method, at = '/uploads', headers = {}, body }) {
      const outgoing = httpRequest(new URL(at, url), {
        method,
        agent: false,
        headers: {
          'tus-resumable': '1.0.0',
          ...(key === null ? {} : { authorization: `Bearer ${key}` }),
          ...(body === undefined ? {} : { 'content-length': body.length }),
          ...headers,
        },
      });
      outgoing.end(body);
      const [response] = await once(outgoing, 'response');
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk);
      return {
        status: response.statusCode,
        headers: response.headers,
        body: Buffer.concat(chunks).toString(),
      };
    },
    async begin(length, metadata) {
      const answer = await client.send({
        method: 'POST',
        headers: {
          'upload-length': length,
          ...(metadata === undefined ? {} : { 'upload-metadata': metadataHeader(metadata) }),
        },
      });
      if (answer.status !== 201 || !answer.headers.location)
        throw new Error(`${answer.status} ${answer.body}`);
      return answer.headers.location;
    },
    patch: (path, offset, body) =>
      client.send({
        method: 'PATCH',
        at: path,
        headers: { 'upload-offset': offset, 'content-type': 'application/offset+octet-stream' },
        body,
      }),
    async offset(path) {
      const answer = await client.send({ method: 'HEAD', at: path });
      if (answer.status !== 200) throw new Error(`${answer.status} ${answer.body}`);
      return Number(answer.headers['upload-offset']);
    },
    async bring(bytes, metadata) {
      const path = await client.begin(bytes.length, metadata);
      const { status, body } = await client.patch(path, 0, bytes);
      if (status !== 204) throw new Error(`${status} ${body}`);
      return path;
    },
  };
  return client;
}
