import { readFileSync } from 'node:fs';
import {
  buildSchema,
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLInputField,
  type GraphQLInputType,
  type GraphQLOutputType,
  getNamedType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  isRequiredArgument,
  isRequiredInputField,
  isUnionType,
} from 'graphql';

/** The printed schema: operations are made of what it says, so that what is added to it is tested, too. */
const printed = buildSchema(
  readFileSync(new URL('../../src/schema/schema.graphql', import.meta.url), 'utf8'),
);

/** An operation on one field, that names one id in one place. */
export interface IdOperation {
  readonly kind: 'query' | 'mutation' | 'subscription';
  readonly field: string;
  /** Of the argument or input field that takes the id: `Query.task(id)`, `TaskFilter.indexId`. */
  readonly coordinate: string;
  /** The field and the way to the id, for the name of the test. */
  readonly name: string;
  readonly query: string;
  variables(id: string): Readonly<Record<string, unknown>>;
}

/** What the values of inputs are where any would not do, by coordinate or by the name of a type. */
export type Examples = Readonly<Record<string, unknown>>;

type Taker = GraphQLArgument | GraphQLInputField;

/** Ways to ids below an argument or input field: the names to go through, and the coordinate of the last. */
function* waysToIds(
  taker: Taker,
  coordinate: string,
): Generator<{ readonly way: readonly string[]; readonly coordinate: string }> {
  const type = getNamedType(taker.type);
  if (type.name === 'ID') yield { way: [taker.name], coordinate };
  if (!isInputObjectType(type)) return;
  for (const field of Object.values(type.getFields()))
    for (const found of waysToIds(field, `${type.name}.${field.name}`))
      yield { way: [taker.name, ...found.way], coordinate: found.coordinate };
}

interface Wanted {
  readonly way: readonly string[];
  readonly id: string;
}

function exampleOf(
  type: GraphQLInputType,
  { examples, coordinate, wanted }: { examples: Examples; coordinate: string; wanted: Wanted | null },
): unknown {
  if (isNonNullType(type)) return exampleOf(type.ofType, { examples, coordinate, wanted });
  if (isListType(type)) return [exampleOf(type.ofType, { examples, coordinate, wanted })];
  if (wanted?.way.length === 0) return wanted.id;
  if (wanted === null && coordinate in examples) return examples[coordinate];
  if (wanted === null && type.name in examples) return examples[type.name];
  if (isEnumType(type)) return type.getValues()[0]?.name;
  if (!isInputObjectType(type)) throw new Error(`an example of ${coordinate} (${type.name}) is needed`);
  const fields = Object.values(type.getFields());
  const [head, ...rest] = wanted?.way ?? [];
  const first = type.isOneOf && head === undefined ? fields[0] : undefined;
  return Object.fromEntries(
    fields
      .filter((field) => field.name === head || field === first || isRequiredInputField(field))
      .map((field) => {
        const below = wanted && field.name === head ? { way: rest, id: wanted.id } : null;
        const at = `${type.name}.${field.name}`;
        return [field.name, exampleOf(field.type, { examples, coordinate: at, wanted: below })];
      }),
  );
}

/** What is asked of an answer: all that can be read of it without further arguments, two levels deep. */
function selectionOf(type: GraphQLOutputType, depth = 2): string {
  const named = getNamedType(type);
  if (isLeafType(named)) return '';
  if (isUnionType(named)) return '{ __typename ... on Error { message } ... on NotFoundError { path } }';
  if (isInterfaceType(named)) return '{ __typename id }';
  const fields = Object.values(named.getFields()).filter(({ args }) => !args.some(isRequiredArgument));
  const selected = fields.map((field) => {
    if (isLeafType(getNamedType(field.type))) return field.name;
    const isPage = ['nodes', 'pageInfo'].includes(field.name);
    return depth > 0 && isPage ? `${field.name} ${selectionOf(field.type, depth - 1)}` : '';
  });
  return `{ __typename ${selected.join(' ')} }`;
}

const argumentsOf = (field: GraphQLField<unknown, unknown>) => ({
  declared: (names: readonly string[]) =>
    field.args
      .filter(({ name }) => names.includes(name))
      .map(({ name, type }) => `$${name}: ${type}`)
      .join(', '),
  passed: (names: readonly string[]) => names.map((name) => `${name}: $${name}`).join(', '),
});

/** A call of a root field with what it requires. */
export function callOf(
  kind: IdOperation['kind'],
  field: GraphQLField<unknown, unknown>,
  { examples, wanted = null }: { readonly examples: Examples; readonly wanted?: Wanted | null },
): { readonly query: string; readonly variables: Readonly<Record<string, unknown>> } {
  const [head, ...rest] = wanted?.way ?? [];
  const args = field.args.filter((arg) => arg.name === head || isRequiredArgument(arg));
  const names = args.map(({ name }) => name);
  const variables = Object.fromEntries(
    args.map((arg) => {
      const below = wanted && arg.name === head ? { way: rest, id: wanted.id } : null;
      const coordinate = `${kindType(kind)}.${field.name}(${arg.name})`;
      return [arg.name, exampleOf(arg.type, { examples, coordinate, wanted: below })];
    }),
  );
  const { declared, passed } = argumentsOf(field);
  const list = (text: string) => (text === '' ? '' : `(${text})`);
  const body = `${field.name}${list(passed(names))} ${selectionOf(field.type)}`;
  return { query: `${kind} ${list(declared(names))} { ${body} }`, variables };
}

const kindType = (kind: IdOperation['kind']) =>
  ({ query: 'Query', mutation: 'Mutation', subscription: 'Subscription' })[kind];

/** The fields of a root type. */
export const rootFields = (kind: IdOperation['kind']): readonly GraphQLField<unknown, unknown>[] => {
  const type = printed.getType(kindType(kind));
  return isObjectType(type) ? Object.values(type.getFields()) : [];
};

/** An operation for every place below a root field that takes an id. */
export function idOperations(kind: IdOperation['kind'], examples: Examples): readonly IdOperation[] {
  return rootFields(kind).flatMap((field) =>
    field.args.flatMap((arg) =>
      [...waysToIds(arg, `${kindType(kind)}.${field.name}(${arg.name})`)].map(({ way, coordinate }) => {
        const call = (id: string) => callOf(kind, field, { examples, wanted: { way, id } });
        return {
          ...{ kind, field: field.name, coordinate, name: `${field.name} by ${way.join('.')}` },
          query: call('').query,
          variables: (id: string) => call(id).variables,
        };
      }),
    ),
  );
}

/** For every field below a node that takes an id: the node's own id is given, so that only the one named differs. */
export function nestedIdOperations(
  examples: Examples,
  nodeId: (type: string) => string,
): readonly IdOperation[] {
  const nodes = Object.values(printed.getTypeMap()).filter(
    (type) => isObjectType(type) && type.getInterfaces().some(({ name }) => name === 'Node'),
  );
  return nodes.flatMap((type) =>
    (isObjectType(type) ? Object.values(type.getFields()) : []).flatMap((field) =>
      field.args.flatMap((arg) =>
        [...waysToIds(arg, `${type.name}.${field.name}(${arg.name})`)].map(
          ({ way, coordinate }): IdOperation => {
            const value = (id: string) =>
              exampleOf(arg.type, { examples, coordinate, wanted: { way: way.slice(1), id } });
            const inner = `${field.name}(${arg.name}: $value) ${selectionOf(field.type)}`;
            return {
              ...{ kind: 'query', field: `${type.name}.${field.name}`, coordinate },
              name: `${type.name}.${field.name} by ${way.join('.')}`,
              query: `query ($node: ID!, $value: ${arg.type}) { node(id: $node) { ... on ${type.name} { ${inner} } } }`,
              variables: (id) => ({ node: nodeId(type.name), value: value(id) }),
            };
          },
        ),
      ),
    ),
  );
}

/** The coordinates of everything in the schema that takes an id. */
export function idCoordinates(): readonly string[] {
  const found = Object.values(printed.getTypeMap()).flatMap((type) => {
    if (type.name.startsWith('__')) return [];
    if (isInputObjectType(type))
      return Object.values(type.getFields())
        .filter((field) => getNamedType(field.type).name === 'ID')
        .map((field) => `${type.name}.${field.name}`);
    if (!isObjectType(type)) return [];
    return Object.values(type.getFields()).flatMap((field) =>
      field.args
        .filter((arg) => getNamedType(arg.type).name === 'ID')
        .map((arg) => `${type.name}.${field.name}(${arg.name})`),
    );
  });
  return found.sort();
}
