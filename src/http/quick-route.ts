import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Viewer } from '../services/viewer.ts';
import { type Answer, watchClient } from './answer.ts';
import { bearerKey } from './auth.ts';
import { limitBody } from './body-limit.ts';
import type { Failure } from './failure.ts';
import { FRAMING, MAX_SMALL_BODY_BYTES, requestContext } from './graphql-request.ts';
import type { JsonAnswer } from './json-path.ts';
import type { KeyWatch } from './key-watch.ts';

export interface QuickRouteOptions {
  readonly answer: Answer;
  readonly keys: KeyWatch;
  /** Who is behind a key, if that is known without a look. */
  readonly viewerOf: (key: string) => Viewer | null;
  /** Of every answer. */
  readonly headers: OutgoingHttpHeaders;
  /** Notes an error that nobody expected, and says how it is told. */
  readonly fail: (error: unknown) => Failure;
}

/** @returns whether the request is taken; otherwise nothing has been done with it */
export type QuickRoute = (request: IncomingMessage, response: ServerResponse) => boolean;

/**
 * The quick way of an ordinary POST /graphql: JSON of a usual size, with a key that was good a moment ago, for an answer that
 * can be no stream. It is answered like by the route for all others, but without the framework around that, which would take a
 * quarter of the time of a page of a list. Whatever is out of the ordinary in any way is left to that route.
 */
export function createQuickRoute(options: QuickRouteOptions): QuickRoute {
  return (request, response) => {
    if (!isOrdinary(request)) return false;
    const key = bearerKey(request.headers.authorization);
    const viewer = key === null ? null : options.viewerOf(key);
    if (key === null || viewer === null) return false;
    const tellRetryAfter = (seconds: number) => {
      if (!response.headersSent) response.setHeader('retry-after', String(seconds));
    };
    const context = requestContext({ key, viewer, keys: options.keys, tellRetryAfter });
    const accept = request.headers.accept ?? 'application/json';
    const client = watchClient(response);
    const { answer, fail, headers } = options;
    readBody(request, async (body) => {
      try {
        const answered = await answer({ body, accept, context }, client);
        if (answered !== 'gone') await send(response, answered, headers);
      } catch (error) {
        sendFailure(response, fail(error), headers);
      }
    });
    return true;
  };
}

const ONLY_JSON = /^(\s*application\/(graphql-response\+)?json\s*(;[^,]*)?(,|$))+$/i;
const JSON_TYPES = new Set([
  'application/json',
  'application/json; charset=utf-8',
  'application/json;charset=utf-8',
]);

function isOrdinary({ method, url, headers }: IncomingMessage): boolean {
  const length = Number(headers['content-length']);
  return (
    method === 'POST' &&
    url === '/graphql' &&
    JSON_TYPES.has(headers['content-type'] ?? '') &&
    length > 0 &&
    length <= MAX_SMALL_BODY_BYTES &&
    headers['content-encoding'] === undefined &&
    headers.expect === undefined &&
    // A stream of events is not for here, and who takes anything may get one.
    (headers.accept === undefined || ONLY_JSON.test(headers.accept))
  );
}

/** Reads a body as text, unless its client leaves or takes too long. */
function readBody(request: IncomingMessage, use: (body: string) => Promise<void>): void {
  const parts: Buffer[] = [];
  const hasCome = limitBody(request);
  request.on('data', (part: Buffer) => parts.push(part));
  request.once('end', () => {
    hasCome();
    const [first] = parts;
    void use(parts.length === 1 && first ? first.toString() : Buffer.concat(parts).toString());
  });
}

async function send(
  response: ServerResponse,
  answered: JsonAnswer | Response,
  headers: OutgoingHttpHeaders,
): Promise<void> {
  if ('payload' in answered)
    return write(response, 200, answered.payload, { ...headers, 'content-type': answered.contentType });
  const own = [...answered.headers]
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .filter(([name]) => !FRAMING.has(name));
  const all = { ...headers, 'content-type': 'text/plain; charset=utf-8', ...Object.fromEntries(own) };
  write(response, answered.status, await answered.text(), all);
}

function sendFailure(
  response: ServerResponse,
  { status, headers: own, body }: Failure,
  headers: OutgoingHttpHeaders,
) {
  // What failed may have been the sending itself.
  if (response.headersSent) return response.destroy();
  const type = { 'content-type': 'application/json; charset=utf-8' };
  return write(response, status, JSON.stringify(body), { ...headers, ...type, ...own });
}

function write(
  response: ServerResponse,
  status: number,
  payload: string,
  headers: OutgoingHttpHeaders,
): void {
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(payload) });
  response.end(payload);
}
