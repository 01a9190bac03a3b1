import { z } from 'zod';

const TASK = /* GraphQL */ `
  fragment DemoTask on Task {
    id fileName externalId videoId status outcome skipReason reason waitingFor
    error { code message }
    progress { fraction bytesDone bytesTotal bytesPerSecond }
    systemMetadata { duration width height size container videoCodec audioCodec rotation }
  }
`;

const IMPORT = /* GraphQL */ `
  fragment DemoImport on Import {
    id state finished
    error { code message }
  }
`;

const FAILED_FILE = /* GraphQL */ `
  fragment DemoFailedFile on FailedFile { id fileName externalId error { code message } }
`;

/** Starts an import, and asks at once what will come in and what will not. */
export const START_IMPORT = /* GraphQL */ `
  mutation DemoStartImport($input: StartImportInput!) {
    startImport(input: $input) {
      __typename
      ... on StartImportSuccess {
        import {
          ...DemoImport
          tasks(first: 100) { nodes { ...DemoTask } }
          failedFiles(first: 100) { nodes { ...DemoFailedFile } }
        }
      }
      ... on Error { message }
      ... on InvalidInputError { issues { path message } }
    }
  }
  ${IMPORT} ${TASK} ${FAILED_FILE}
`;

/** Watches an import to its end. */
export const IMPORT_PROGRESS = /* GraphQL */ `
  subscription DemoImportProgress($id: ID!, $after: String) {
    importProgress(id: $id, after: $after) {
      cursor snapshot
      import { ...DemoImport }
      changed { ...DemoTask }
      rejected { ...DemoFailedFile }
    }
  }
  ${IMPORT} ${TASK} ${FAILED_FILE}
`;

const reason = z.object({ code: z.string(), message: z.string() });
const progress = z.object({
  fraction: z.number(),
  bytesDone: z.number(),
  bytesTotal: z.number().nullable(),
  bytesPerSecond: z.number().nullable(),
});
const systemMetadata = z.object({
  duration: z.number(),
  width: z.number(),
  height: z.number(),
  size: z.number(),
  container: z.string(),
  videoCodec: z.string(),
  audioCodec: z.string().nullable(),
  rotation: z.number(),
});

const task = z.object({
  id: z.string(),
  fileName: z.string(),
  externalId: z.string().nullable(),
  videoId: z.string(),
  status: z.string(),
  outcome: z.string().nullable(),
  skipReason: z.string().nullable(),
  reason: z.string().nullable(),
  waitingFor: z.string().nullable(),
  error: reason.nullable(),
  progress,
  systemMetadata: systemMetadata.nullable(),
});
/** One video on its way, as the demo asks for it. */
export type DemoTask = z.infer<typeof task>;

const failedFile = z.object({
  id: z.string(),
  fileName: z.string(),
  externalId: z.string().nullable(),
  error: reason,
});
/** One file that planning rejected, as the demo asks for it. */
export type DemoFailedFile = z.infer<typeof failedFile>;

const importState = z.object({
  id: z.string(),
  state: z.string(),
  finished: z.boolean(),
  error: reason.nullable(),
});
/** The import as a whole, as the demo asks for it. */
export type DemoImport = z.infer<typeof importState>;

/** What `START_IMPORT` answers. */
export const startImportData = z.object({
  startImport: z.object({
    __typename: z.string(),
    message: z.string().optional(),
    issues: z.array(z.object({ path: z.array(z.string()), message: z.string() })).optional(),
    import: importState
      .extend({
        tasks: z.object({ nodes: z.array(task) }),
        failedFiles: z.object({ nodes: z.array(failedFile) }),
      })
      .optional(),
  }),
});
/** The import that was started, with what is decided about its videos so far. */
export type StartedImport = NonNullable<z.infer<typeof startImportData>['startImport']['import']>;

/** What `IMPORT_PROGRESS` sends. */
export const importProgressData = z.object({
  importProgress: z.object({
    cursor: z.string(),
    snapshot: z.boolean(),
    import: importState,
    changed: z.array(task),
    rejected: z.array(failedFile),
  }),
});
/** One event of an import's progress. */
export type DemoEvent = z.infer<typeof importProgressData>['importProgress'];
