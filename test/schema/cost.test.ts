import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SAMPLE_OPERATIONS, SAMPLE_VARIABLES } from '../../src/http/graphiql-samples.ts';
import { codesOf, post } from '../support/raw.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server?.stop());

/** What a request is answered with. */
async function send(request: object, headers: Record<string, string> = {}): Promise<string> {
  const { text } = await post({ url: server.url, key: server.key, body: JSON.stringify(request), headers });
  return text;
}

const nested = (n: number) => `query ($n: Int = ${n}) { imports(first: $n) { nodes { ...Tasks } } }
  fragment Tasks on Import { tasks(first: $n) { nodes { id import { tasks(first: $n) { nodes { id } } } } } }`;
const TASK = `id name status attempts progress { fraction } stages { name state } team { id } index { id name }
  import { id state } video { id originalUrl } error { code } systemMetadata { width height }`;

describe('an operation may cost so much', () => {
  test.each([
    [
      'a page of 100 tasks with all that belongs to them',
      `{ tasks(first: 100) { totalCount nodes { ${TASK} } } }`,
    ],
    [
      '50 imports with 20 tasks each',
      '{ imports(first: 50) { nodes { id tasks(first: 20) { nodes { id name } } } } }',
    ],
    [
      'an import with 100 tasks and 100 rejected files',
      `{ importStatus(id: "imp_x") { id counts { found } progress { fraction } tasks(first: 100) { nodes { ${TASK} } }
         failedFiles(first: 100) { nodes { id error { code message } } } } }`,
    ],
    ['lists in lists in lists of ten', nested(10)],
    [
      'introspection',
      '{ __schema { types { name fields { name type { name ofType { name ofType { name } } } args { name } } } } }',
    ],
  ])('%s', async (_name, query) => {
    expect(codesOf(await send({ query }))).toEqual([]);
  });

  test.each(['importStatus', 'tasks'])('the sample %s', async (operationName) => {
    const request = { query: SAMPLE_OPERATIONS, variables: SAMPLE_VARIABLES, operationName };
    expect(codesOf(await send(request))).toEqual([]);
  });
});

describe('and no more', () => {
  test.each([
    ['lists in lists in lists of 60, behind a variable and a fragment', nested(60)],
    ['the same, from the end', nested(60).replaceAll('first:', 'last:')],
  ])('%s', async (_name, query) => {
    expect(codesOf(await send({ query }))).toEqual(['QUERY_TOO_COMPLEX']);
  });

  test('an event of a subscription neither', async () => {
    const video = { externalId: '1', url: 'http://127.0.0.1:1/gone.mp4', fileName: 'gone.mp4' };
    const started = await send({
      query: `mutation ($input: StartImportInput!) {
        startImport(input: $input) { ... on StartImportSuccess { import { id } } } }`,
      variables: { input: { from: { videos: { systemName: 'cost', videos: [video] } } } },
    });
    const { id } = JSON.parse(started).data.startImport.import;
    const changed =
      'changed { import { tasks(first: 100) { nodes { import { tasks(first: 10) { nodes { id } } } } } } }';
    const subscription = {
      query: `subscription ($id: ID!) { importProgress(id: $id) { cursor ${changed} } }`,
      variables: { id },
    };
    const controller = new AbortController();
    const response = await fetch(`${server.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'text/event-stream',
        authorization: `Bearer ${server.key}`,
      },
      body: JSON.stringify(subscription),
      signal: controller.signal,
    });
    let text = '';
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      text += Buffer.from(chunk).toString();
      if (text.includes('event: next')) break;
    }
    controller.abort();
    expect(text).toContain('QUERY_TOO_COMPLEX');
  });
});
