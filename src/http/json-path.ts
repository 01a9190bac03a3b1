import { type DocumentNode, getOperationAST } from 'graphql';
import type { DocumentCache } from './document-cache.ts';
import type { RequestContext, Yoga } from './yoga.ts';

/** What a client wants executed, as its request has it. */
export interface JsonRequest {
  readonly body: string;
  readonly accept: string;
  readonly context: RequestContext;
}

/** An answer that needs nothing more than to be sent, with status 200. */
export interface JsonAnswer {
  readonly contentType: string;
  readonly payload: string;
}

/** What Yoga is to answer: the request, of which nothing has been executed, or what its execution has ended with. */
export type ForYoga = 'everything' | { readonly outcome: Outcome };

/** How an execution has ended, where its answer takes more than to be written as JSON. */
export type Outcome = { readonly result: object } | { readonly error: unknown };

export type JsonPath = (request: JsonRequest) => Promise<JsonAnswer | ForYoga>;

/**
 * The short way for what nearly all requests are: a query or mutation whose answer is JSON and has no errors. Yoga parses,
 * validates and executes it with all its plugins, as everywhere; left out are the Request and the Response that Yoga would
 * have made of it, which take longer than all the rest. A document that has passed before is not taken through the plugins of
 * parsing and validation again: what these find of it, they remember by the document, too, whoever asks. Whatever is out of
 * the ordinary in any way is left to Yoga.
 * @param contentTypeFor what Yoga answers results with for an Accept header; null when that is no JSON
 * @param documents those that Yoga has parsed
 */
export function createJsonPath(
  yoga: Yoga,
  contentTypeFor: (request: JsonRequest) => Promise<string | null>,
  documents: DocumentCache,
): JsonPath {
  const passed = new WeakSet<DocumentNode>();
  const check = (text: string, { schema, parse, validate }: Enveloped): DocumentNode | null => {
    const known = documents.get(text);
    if (known !== undefined && passed.has(known)) return known;
    try {
      const document: DocumentNode = parse(text);
      if (validate(schema, document).length > 0) return null;
      passed.add(document);
      return document;
    } catch {
      // Yoga finds the same again, and knows how it is told.
      return null;
    }
  };
  /** Parses and validates; null when there is nothing to execute here. @returns executes */
  const prepare = (params: Params, context: RequestContext): (() => Promise<object>) | null => {
    const enveloped = yoga.getEnveloped({ ...context, params });
    const document = check(params.query, enveloped);
    if (document === null) return null;
    const { operationName, variables: variableValues } = params;
    const kind = getOperationAST(document, operationName)?.operation;
    if (kind !== 'query' && kind !== 'mutation') return null;
    const { schema, contextFactory, execute } = enveloped;
    return async () => {
      const contextValue = await contextFactory();
      return await execute({ schema, document, contextValue, variableValues, operationName });
    };
  };
  return async (request) => {
    const { body, context } = request;
    const params = readParams(body);
    const contentType = params && (await contentTypeFor(request));
    if (params === null || contentType === null) return 'everything';
    const execution = prepare(params, context);
    if (execution === null) return 'everything';
    try {
      const result = await execution();
      return isPlain(result) ? { contentType, payload: JSON.stringify(result) } : { outcome: { result } };
    } catch (error) {
      return { outcome: { error } };
    }
  };
}

type Enveloped = ReturnType<Yoga['getEnveloped']>;

interface Params {
  readonly query: string;
  readonly variables?: Record<string, unknown> | null;
  readonly operationName?: string | null;
  readonly extensions?: Record<string, unknown> | null;
}

const PARAMS = new Set(['query', 'variables', 'operationName', 'extensions']);

/** The parameters of a body in which everything is as it should be; null for any other. */
function readParams(body: string): Params | null {
  let read: unknown;
  try {
    read = JSON.parse(body);
  } catch {
    return null;
  }
  if (!isObject(read) || !Object.keys(read).every((name) => PARAMS.has(name))) return null;
  const { query, variables, operationName, extensions } = read;
  const isGood =
    typeof query === 'string' &&
    (variables == null || isObject(variables)) &&
    (operationName == null || typeof operationName === 'string') &&
    (extensions == null || isObject(extensions));
  // Each of them has just been looked at.
  return isGood ? (read as unknown as Params) : null;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Whether a result has nothing but data, and says nothing of how it is to be written. */
const isPlain = (result: object): boolean =>
  'data' in result && Object.keys(result).length === 1 && !('stringify' in result);
