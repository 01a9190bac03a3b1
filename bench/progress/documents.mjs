/** What a page that shows an import asks for. */
const TASK = 'id name status attempts progress { fraction bytesDone bytesTotal bytesPerSecond etaSeconds }';
const IMPORT =
  'id state finished counts { found undecided rejected uploading pending ready failed } progress { fraction bytesDone }';

export const LIVE = `subscription Live($id: ID!, $after: String) {
  importProgress(id: $id, after: $after) { cursor import { ${IMPORT} } changed { ${TASK} } }
}`;
export const POLL = `query Poll($id: ID!, $first: Int!) {
  importStatus(id: $id) { ${IMPORT} tasks(first: $first, filter: { status: [UPLOADING] }) { nodes { ${TASK} } } }
}`;
export const CURSOR = 'query Cursor($id: ID!) { importStatus(id: $id) { cursor } }';

/** The same with the snapshot, and without it. */
export const WATCH = `subscription Watch($id: ID!, $tasks: Boolean!) {
  importProgress(id: $id, tasks: $tasks) { cursor snapshot import { ${IMPORT} all: counts { canceled } } changed { ${TASK} } }
}`;
export const FEED = `subscription Feed($id: ID!) {
  tasksChanged(filter: { importId: $id }) { cursor changed { ${TASK} } removedIds }
}`;

/** The same answer from a schema of the peer's own. */
export const PEER_SDL = `
  type Query { ok: Boolean }
  type Subscription { importProgress(id: ID!, after: String): Event! }
  type Event { cursor: String! import: Import! changed: [Task!]! }
  type Import { id: ID! state: String! finished: Boolean! counts: Counts! progress: Progress! }
  type Counts { found: Int! undecided: Int! rejected: Int! uploading: Int! pending: Int! ready: Int! failed: Int! }
  type Task { id: ID! name: String! status: String! attempts: Int! progress: Progress! }
  type Progress { fraction: Float! bytesDone: Float! bytesTotal: Float bytesPerSecond: Float etaSeconds: Int }
`;

/** An event with the figures of some tasks. @param tasks id, name and stamp of each */
export const eventOf = (importId, tasks) => ({
  cursor:
    'WyI3NTc1NDA2ODUyNjQ2ODkwODcyIiwiM2YxYzE1YjItNDVhOS00ZTUyLWE0YzEtOGUzZmY0ZGQ4YzJiIiwiODE1IixudWxsXQ',
  import: {
    id: `imp_${importId}`,
    state: 'STARTED',
    finished: false,
    counts: { found: 2000, undecided: 0, rejected: 0, uploading: 50, pending: 1950, ready: 0, failed: 0 },
    progress: { fraction: 0.0125, bytesDone: 123_456_789 },
  },
  changed: tasks.map(({ id, name, stamp }) => ({
    id: `task_${id}`,
    name,
    status: 'UPLOADING',
    attempts: 1,
    progress: { fraction: 0.5, bytesDone: stamp, bytesTotal: null, bytesPerSecond: null, etaSeconds: null },
  })),
});
