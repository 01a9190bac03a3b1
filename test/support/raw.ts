/** What a server answered, to the byte. */
export interface RawAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

export interface RawRequest {
  /** The base of the server, without /graphql. */
  readonly url: string;
  /** Left out: no key is sent. */
  readonly key?: string;
  readonly body: string | FormData | URLSearchParams;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Sends any body at all to /graphql; as JSON, unless the headers say otherwise or the body is a form. */
export async function post({ url, key, body, headers = {} }: RawRequest): Promise<RawAnswer> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    body,
    headers: {
      ...(typeof body === 'string' ? { 'content-type': 'application/json' } : {}),
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      ...headers,
    },
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

/** The codes of an answer's errors, none if it has none. */
export function codesOf(text: string): unknown[] {
  const answer = JSON.parse(text) as { errors?: { extensions?: { code?: unknown } }[] }; // the shape of every answer
  return (answer.errors ?? []).map(({ extensions }) => extensions?.code);
}
