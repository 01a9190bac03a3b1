import {
  type FieldNode,
  type GraphQLNamedType,
  type GraphQLResolveInfo,
  getNamedType,
  isInterfaceType,
  isObjectType,
  Kind,
  type SelectionSetNode,
} from 'graphql';

/**
 * What is selected below a field. `columns`: columns of its rows and nothing else; `related`: also what belongs to them, the
 * same each time; `varying`: something has arguments or directives, and may be another selection each time.
 */
export type SelectionKind = 'columns' | 'related' | 'varying';

type Document = Pick<GraphQLResolveInfo, 'schema' | 'fragments'>;

const kinds = new WeakMap<FieldNode, SelectionKind>();

/** The kind of what is selected below the field that is being resolved. */
export function selectionKindOf({
  fieldNodes,
  returnType,
  schema,
  fragments,
}: GraphQLResolveInfo): SelectionKind {
  const [node, ...others] = fieldNodes;
  if (node === undefined || others.length > 0) return 'varying';
  const known = kinds.get(node);
  if (known !== undefined) return known;
  const kind = kindOf(node.selectionSet, getNamedType(returnType), { schema, fragments });
  kinds.set(node, kind);
  return kind;
}

function kindOf(
  selected: SelectionSetNode | undefined,
  type: GraphQLNamedType | undefined,
  document: Document,
): SelectionKind {
  if (selected === undefined) return 'columns';
  let widest: SelectionKind = 'columns';
  for (const node of selected.selections) {
    const kind = node.directives?.length ? 'varying' : kindOfNode(node, type, document);
    if (kind === 'varying') return kind;
    if (kind === 'related') widest = kind;
  }
  return widest;
}

function kindOfNode(
  node: SelectionSetNode['selections'][number],
  type: GraphQLNamedType | undefined,
  document: Document,
): SelectionKind {
  if (node.kind === Kind.FIELD) return kindOfField(node, type, document);
  const fragment = node.kind === Kind.FRAGMENT_SPREAD ? document.fragments[node.name.value] : node;
  if (fragment === undefined || fragment.directives?.length) return 'varying';
  const narrowed = fragment.typeCondition ? document.schema.getType(fragment.typeCondition.name.value) : type;
  return kindOf(fragment.selectionSet, narrowed, document);
}

function kindOfField(node: FieldNode, type: GraphQLNamedType | undefined, document: Document): SelectionKind {
  if (node.name.value.startsWith('__')) return 'columns';
  if (!isObjectType(type) && !isInterfaceType(type)) return 'varying';
  const field = type.getFields()[node.name.value];
  if (field === undefined || field.args.length > 0) return 'varying';
  const below = kindOf(node.selectionSet, getNamedType(field.type), document);
  return below === 'columns' && !isOfColumns(field.extensions.pothosDrizzleSelect) ? 'related' : below;
}

/** Whether what a field selects of its row is columns, or nothing. */
function isOfColumns(selection: unknown): boolean {
  if (selection === undefined || selection === null) return true;
  return typeof selection === 'object' && Object.keys(selection).every((key) => key === 'columns');
}
