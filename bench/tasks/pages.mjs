/** The same columns for all. */
const COLUMNS =
  'fileName externalId systemName name status outcome attempts metadata createdAt updatedAt finishedAt';
const PAGE_INFO = 'pageInfo { hasNextPage endCursor }';

const ours = (body) =>
  `query Tasks($filter: TaskFilter, $first: Int!, $after: String) { tasks(filter: $filter, first: $first, after: $after) { ${body} } }`;
const theirs = (body) =>
  `query Tasks($condition: TaskCondition!, $first: Int!, $after: Cursor, $offset: Int) { allTasks(condition: $condition, first: $first, after: $after, offset: $offset, orderBy: [CREATED_AT_DESC, ROW_ID_DESC]) { ${body} } }`;
const OUR_ROWS = `edges { cursor node { id ${COLUMNS} } } ${PAGE_INFO}`;
const THEIR_ROWS = `edges { cursor node { rowId ${COLUMNS} } } ${PAGE_INFO}`;

export const FIRST = 20;

/**
 * What is asked: of us, and in PostGraphile's words. `deep`: from far down the list.
 * @param seeded what seed() gave
 */
export function pagesOf({ teamId, indexId, index, length }) {
  const deep = Math.min(10_000 * FIRST, length - 10 * FIRST);
  const page = (filter, condition, skip = 0) => ({
    ours: { query: ours(OUR_ROWS), variables: { filter, first: FIRST } },
    theirs: { query: theirs(THEIR_ROWS), variables: { condition: { teamId, ...condition }, first: FIRST } },
    skip,
  });
  const fileName = `video-${length - 1}.mp4`;
  return {
    'page 1': page(null, {}),
    [`page ${deep / FIRST}`]: page(null, {}, deep),
    'status and index': page({ status: ['READY'], indexId: index }, { status: 'READY', indexId }),
    'file name': page({ fileName: { equals: fileName } }, { fileName }),
    totalCount: {
      ours: { query: ours('totalCount'), variables: { filter: { status: ['FAILED'] }, first: FIRST } },
      theirs: {
        query: theirs('totalCount'),
        variables: { condition: { teamId, status: 'FAILED' }, first: FIRST },
      },
      skip: 0,
    },
  };
}
