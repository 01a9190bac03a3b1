import { expect, test } from 'vitest';
import { BadFilterError } from '../../src/services/errors.ts';
import {
  ownedBy,
  type TaskFilter,
  taskConditions,
  taskWhere,
  videoWhere,
} from '../../src/services/filters.ts';
import { fromPublicId, parsePublicId, toPublicId } from '../../src/services/public-ids.ts';

const [OWN, SECOND, OTHER] = [1, 2, 3].map((n) => `0190a000-0000-7000-8000-00000000000${n}`) as [
  string,
  string,
  string,
];
const viewer = { keyId: 'k', keyName: 'Key', scopes: ['ADMIN'], defaultTeamId: OWN, teamIds: [OWN, SECOND] };
const NOTHING = { id: { in: [] } };

/** The conditions without those that are written as SQL, which the tests of lists look at. */
const plain = (where: unknown) => (where as { AND: object[] }).AND.filter((each) => !('RAW' in each));
const conditions = (filter: TaskFilter) => plain({ AND: taskConditions(viewer, filter) });

test('a list is of the default team unless another is named, by its id or by that of something it has', () => {
  expect(taskWhere(viewer, {})).toEqual({ AND: [{ teamId: OWN }] });
  expect(taskWhere(viewer, { teamId: `team_${SECOND}` })).toEqual({ AND: [{ teamId: SECOND }] });
  const either = { teamId: { in: [OWN, SECOND] } };
  expect(taskWhere(viewer, { videoId: `vid_${OTHER}` })).toEqual({ AND: [either, { videoId: OTHER }] });
  // Whose they are is asked of what is named.
  expect(plain(taskWhere(viewer, { importId: `imp_${OTHER}` }))).toEqual([{ importId: OTHER }]);
  expect(plain(videoWhere(viewer, { indexId: `idx_${OTHER}` }))).toEqual([{ indexId: OTHER }]);
});

test.each([`team_${OTHER}`, 'team_', OWN, `idx_${OWN}`, ''])(
  'the team %j is none of the viewer: nothing matches',
  (teamId) => {
    expect(taskWhere(viewer, { teamId })).toEqual({ AND: [NOTHING] });
    expect(taskWhere(viewer, { teamId, indexId: `idx_${OWN}` })).toEqual({ AND: [NOTHING] });
  },
);

test('an id of the wrong type or form matches nothing, and never goes to the database', () => {
  for (const id of [`imp_${OWN}`, OWN, 'idx_x', `idx_${OWN.toUpperCase()}`, `idx_${OWN} `, '\0'])
    expect(taskConditions(viewer, { indexId: id })).toEqual([NOTHING]);
  expect(ownedBy(viewer, 'Task', `task_${OTHER}`)).toEqual({ id: OTHER, teamId: { in: [OWN, SECOND] } });
  expect(ownedBy(viewer, 'Task', `vid_${OTHER}`)).toBeNull();
});

test('what is left out or null asks for nothing; an empty list matches nothing', () => {
  expect(conditions({ status: null, fileName: null, width: null, createdAt: {}, externalId: {} })).toEqual(
    [],
  );
  expect(conditions({ status: [], externalId: { in: [] } })).toEqual([
    { status: { in: [] } },
    { externalId: { in: [] } },
  ]);
});

test('in a pattern %, _ and \\ stand for themselves', () => {
  expect(conditions({ fileName: { contains: '50%_\\x', startsWith: '%' } })).toEqual([
    { fileName: { ilike: '%50\\%\\_\\\\x%' } },
    { fileName: { like: '\\%%' } },
  ]);
});

test('a range of 0 is a range', () => {
  expect(conditions({ width: { equals: 0, gte: 0, lte: 0 }, duration: { gte: null } })).toEqual([
    { width: { eq: 0 } },
    { width: { gte: 0 } },
    { width: { lte: 0 } },
  ]);
});

test.each([
  { fileName: { equals: '\0' } },
  { fileName: { contains: 'a\0' } },
  { externalId: { startsWith: '\ud800' } },
  { externalId: { in: ['a', '\udc00'] } },
  { systemName: '\0' },
])('%j cannot be compared to any text', (filter) => {
  expect(() => taskConditions(viewer, filter)).toThrow(BadFilterError);
});

test('a public id is read as the type and row id that it was made of, and nothing else is', () => {
  expect(toPublicId('Import', OWN)).toBe(`imp_${OWN}`);
  expect(parsePublicId(`file_${OWN}`)).toEqual({ type: 'FailedFile', id: OWN });
  expect(fromPublicId('Video', `vid_${OWN}`)).toBe(OWN);
  expect(fromPublicId('Video', `imp_${OWN}`)).toBeNull();
  for (const text of [
    '',
    '_',
    OWN,
    `_${OWN}`,
    `vid${OWN}`,
    `vid_${OWN}x`,
    `VID_${OWN}`,
    `constructor_${OWN}`,
  ])
    expect(parsePublicId(text)).toBeNull();
});
