import type { JsonRequest } from './json-path.ts';

/** Longer ones are nobody's, and would take memory. */
const MAX_ACCEPT_LENGTH = 300;
const MAX_REMEMBERED = 200;

/**
 * What Yoga answers with by Accept header: asked once for each, with a result that is there already, and remembered. So what
 * is written without Yoga is called what Yoga would have called it.
 * @param ask answers a result
 * @returns the content type of a result without errors; null when that is no JSON, or nothing is known of this header
 */
export function createContentTypes(ask: (request: JsonRequest) => Promise<Response>) {
  const known = new Map<string, string | null>();
  return async ({ accept, context }: JsonRequest): Promise<string | null> => {
    const found = known.get(accept);
    if (found !== undefined) return found;
    if (accept.length > MAX_ACCEPT_LENGTH || known.size >= MAX_REMEMBERED) return null;
    const outcome = { result: { data: null } };
    const response = await ask({
      body: '{"query":"{__typename}"}',
      accept,
      context: { ...context, outcome },
    });
    const type = response.headers.get('content-type');
    await response.text();
    const isJson = response.status === 200 && type !== null && JSON_TYPE.test(type);
    known.set(accept, isJson ? type : null);
    return isJson ? type : null;
  };
}

const JSON_TYPE = /^application\/(graphql-response\+)?json;/;
