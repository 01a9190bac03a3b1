import { post } from '../support/raw.ts';

/** What an answer of these tests holds; typed as loosely as JSON is, for every test says what it expects. */
export interface Answer {
  readonly data?: Record<string, { readonly [field: string]: unknown } | null> | null;
  readonly errors?: readonly {
    readonly message: string;
    readonly extensions?: { readonly code?: string };
  }[];
}

/** Every mutation and query about integrations, with all their fields. */
export interface IntegrationClient {
  ask(query: string, variables?: object, key?: string): Promise<Answer>;
  /** Only text: to compare two answers to the byte. */
  text(query: string, variables?: object, key?: string): Promise<string>;
  create(input: object, key?: string): Promise<Result>;
  update(input: object, key?: string): Promise<Result>;
  remove(id: string, key?: string): Promise<Result>;
}

/** One member of a result union; fields of the others are not there. */
export interface Result {
  readonly __typename: string;
  readonly message?: string;
  readonly code?: string;
  readonly path?: readonly string[];
  readonly issues?: readonly {
    readonly path: readonly string[];
    readonly code: string;
    readonly message: string;
  }[];
  readonly runningImport?: { readonly id: string; readonly state: string };
  readonly deletedId?: string;
  readonly integration?: IntegrationFields;
}

export interface IntegrationFields {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  readonly location: string;
  readonly team: { readonly id: string };
  readonly s3: Readonly<Record<string, unknown>> | null;
  readonly folder: { readonly path: string } | null;
  readonly runningImport: { readonly id: string } | null;
  readonly createdAt: string;
  readonly updatedAt: string;
}

export const INTEGRATION = `fragment I on Integration {
  id name kind location createdAt updatedAt team { id }
  s3 { bucket prefix region endpoint forcePathStyle accessKeyHint } folder { path } runningImport { id }
}`;

const ERRORS = `... on Error { message }
  ... on InvalidInputError { issues { path code message } }
  ... on NotFoundError { path }`;
const CREATE = `mutation ($input: CreateIntegrationInput!) { result: createIntegration(input: $input) { __typename
  ... on CreateIntegrationSuccess { integration { ...I } } ${ERRORS} ... on SourceUnavailableError { code } } } ${INTEGRATION}`;
const UPDATE = `mutation ($input: UpdateIntegrationInput!) { result: updateIntegration(input: $input) { __typename
  ... on UpdateIntegrationSuccess { integration { ...I } } ${ERRORS} ... on SourceUnavailableError { code }
  ... on ImportAlreadyRunningError { runningImport { id state } } } } ${INTEGRATION}`;
const DELETE = `mutation ($id: ID!) { result: deleteIntegration(id: $id) { __typename
  ... on DeleteIntegrationSuccess { deletedId } ... on Error { message } ... on NotFoundError { path }
  ... on ImportAlreadyRunningError { runningImport { id state } } } }`;

/** Talks to a server over HTTP, as its key unless another is given. */
export function createIntegrationClient(server: {
  readonly url: string;
  readonly key: string;
}): IntegrationClient {
  const text: IntegrationClient['text'] = async (query, variables = {}, key = server.key) => {
    const answer = await post({ url: server.url, key, body: JSON.stringify({ query, variables }) });
    return answer.text;
  };
  const ask: IntegrationClient['ask'] = async (...request) => JSON.parse(await text(...request));
  const resultOf = async (query: string, variables: object, key?: string) => {
    const { data, errors } = await ask(query, variables, key);
    if (errors || !data?.result) throw new Error(JSON.stringify(errors));
    return data.result as unknown as Result; // what the documents above ask for
  };
  return {
    ask,
    text,
    create: (input, key) => resultOf(CREATE, { input }, key),
    update: (input, key) => resultOf(UPDATE, { input }, key),
    remove: (id, key) => resultOf(DELETE, { id }, key),
  };
}
