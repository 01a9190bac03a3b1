/** The prefix that tells what an id is of; the rest is the row's UUID. */
const PREFIXES = {
  Import: 'imp',
  Task: 'task',
  Video: 'vid',
  Index: 'idx',
  Integration: 'int',
  Team: 'team',
  FailedFile: 'file',
  Upload: 'upl',
} as const;

/** The types that have ids outside the database. */
export type IdentifiedType = keyof typeof PREFIXES;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const TYPES = new Map<string, IdentifiedType>(
  // Object.entries forgets that the keys are the literal ones
  Object.entries(PREFIXES).map(([type, prefix]) => [prefix, type as IdentifiedType]),
);

/** The id of a row as it is known outside: `imp_<uuid>`; the same in the API, in logs and on the command line. */
export function toPublicId(type: IdentifiedType, id: string): string {
  return `${PREFIXES[type]}_${id}`;
}

/** The type and row id behind a public id, or null for what is none. */
export function parsePublicId(text: string): { readonly type: IdentifiedType; readonly id: string } | null {
  const separator = text.indexOf('_');
  const type = TYPES.get(text.slice(0, separator));
  const id = text.slice(separator + 1);
  return type !== undefined && UUID.test(id) ? { type, id } : null;
}

/** The row id behind a public id of this type; null when it is malformed or of another type, like one that names nothing. */
export function fromPublicId(type: IdentifiedType, text: string): string | null {
  const parsed = parsePublicId(text);
  return parsed?.type === type ? parsed.id : null;
}
