const CREATE = `mutation ($input: CreateIntegrationInput!) {
  createIntegration(input: $input) { __typename ... on Error { message }
    ... on CreateIntegrationSuccess { integration { id } } }
}`;
const START = `mutation ($input: StartImportInput!) {
  startImport(input: $input) { __typename ... on Error { message }
    ... on StartImportSuccess { import { id state counts { found undecided rejected skipped } } } }
}`;
const STATUS = `query ($id: ID!) {
  import(id: $id) { state counts { found undecided rejected } }
}`;

/** Sets a bucket of the store up. @returns the integration's id */
export async function createIntegration(server, store, bucket) {
  const { endpoint, accessKeyId, secretAccessKey } = store;
  const s3 = { bucket, endpoint, forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } };
  const { createIntegration: result } = await server.query(CREATE, {
    input: { name: bucket, location: { s3 } },
  });
  return assertSuccess(result).integration.id;
}

/** Imports what is below a prefix. @returns the import as startImport answers it */
export async function startImport(server, integrationId, prefix) {
  const { startImport: result } = await server.query(START, {
    input: { from: { integration: { integrationId, prefix } } },
  });
  return assertSuccess(result).import;
}

/** What an import has come to. */
export const readImport = async (server, id) => (await server.query(STATUS, { id })).import;

function assertSuccess(result) {
  if (!result.__typename.endsWith('Success')) throw new Error(`${result.__typename}: ${result.message}`);
  return result;
}
