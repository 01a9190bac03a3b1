import {
  type DocumentNode,
  type FragmentDefinitionNode,
  getOperationAST,
  Kind,
  type SelectionSetNode,
} from 'graphql';

/** Fields with all fragments put in their places: what is compiled grows with them, and far faster than the document. */
const MAX_FIELDS = 400;

/** Root fields whose type is known only when they are executed, or that are asked for once. */
// The input of importPlan has a @oneOf, which compiled queries do not look at.
const LEFT_OUT = new Set(['node', 'importPlan', '__schema', '__type']);

/**
 * Whether an operation is worth to be compiled, and answered the same then. Without aliases no two fields ask the same
 * relation for different rows; those, and directives, are left to the ordinary way.
 */
export function isCompilable(document: DocumentNode, operationName: string | null | undefined): boolean {
  const operation = getOperationAST(document, operationName);
  if (operation?.operation !== 'query' || operation.directives?.length) return false;
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  const isLeftOut = operation.selectionSet.selections.some(
    (selection) => selection.kind !== Kind.FIELD || LEFT_OUT.has(selection.name.value),
  );
  return !isLeftOut && isSmall(operation.selectionSet, fragments, { fields: 0 });
}

/** Stops as soon as it is too much. Validation has seen to it that fragments make no circle. */
function isSmall(
  { selections }: SelectionSetNode,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
  count: { fields: number },
): boolean {
  return selections.every((selection) => {
    count.fields += 1;
    if (count.fields > MAX_FIELDS || selection.directives?.length) return false;
    if (selection.kind === Kind.FIELD && selection.alias) return false;
    const inner = selection.kind === Kind.FRAGMENT_SPREAD ? fragments.get(selection.name.value) : selection;
    return inner?.selectionSet === undefined || isSmall(inner.selectionSet, fragments, count);
  });
}
