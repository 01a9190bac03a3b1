import { setTimeout as sleep } from 'node:timers/promises';

const CREATE_INTEGRATION = `mutation ($input: CreateIntegrationInput!) {
  createIntegration(input: $input) { __typename ... on Error { message } ... on CreateIntegrationSuccess { integration { id } } }
}`;
const CREATE_INDEX = `mutation ($input: CreateIndexInput!) {
  createIndex(input: $input) { __typename ... on Error { message } ... on CreateIndexSuccess { index { id } } }
}`;
const START = `mutation ($input: StartImportInput!) {
  startImport(input: $input) { __typename ... on Error { message } ... on StartImportSuccess { import { id } } }
}`;
const STATUS = `query ($id: ID!) { import(id: $id) { state finishedAt counts { found rejected ready failed skipped } } }`;
const STAGES = `query ($id: ID!, $after: String) {
  import(id: $id) { tasks(first: 100, after: $after) { nodes { fileName status stages { name state error { code message } } } pageInfo { endCursor hasNextPage } } }
}`;

const POLL_MS = 50;

/** Sets a folder up. @returns the integration's id */
export const createFolder = async (server, path) =>
  (
    await succeed(server, CREATE_INTEGRATION, 'createIntegration', {
      name: path,
      location: { folder: { path } },
    })
  ).integration.id;

/**
 * Imports a folder into an index of its own, so that nothing of it is there already.
 * @param input further input of startImport
 * @returns the import's id, its counts, and the seconds from the call to the end of the last video
 */
export async function importFolder(server, { integrationId, prefix, input = {} }) {
  const name = `bench-${process.hrtime.bigint()}`;
  const { index } = await succeed(server, CREATE_INDEX, 'createIndex', { name });
  const begin = performance.now();
  const { import: started } = await succeed(server, START, 'startImport', {
    from: { integration: { integrationId, ...(prefix && { prefix }) } },
    indexId: index.id,
    ...input,
  });
  for (;;) {
    const { import: found } = await server.query(STATUS, { id: started.id });
    if (found.finishedAt !== null)
      return { id: started.id, counts: found.counts, seconds: (performance.now() - begin) / 1000 };
    await sleep(POLL_MS);
  }
}

/** The stages of an import's tasks that failed, as text. */
export async function failedStages(server, id) {
  const failed = [];
  for (let after = null; ; ) {
    const { tasks } = (await server.query(STAGES, { id, after })).import;
    for (const { fileName, stages } of tasks.nodes)
      for (const { name, state, error } of stages)
        if (state === 'FAILED') failed.push(`${fileName} ${name} ${error?.code}: ${error?.message}`);
    if (!tasks.pageInfo.hasNextPage) return failed;
    after = tasks.pageInfo.endCursor;
  }
}

async function succeed(server, document, field, input) {
  const result = (await server.query(document, { input }))[field];
  if (!result.__typename.endsWith('Success')) throw new Error(`${result.__typename}: ${result.message}`);
  return result;
}
