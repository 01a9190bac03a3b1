import { type DocumentNode, type ExecutionArgs, getOperationAST, Kind, visit } from 'graphql';

const found = new WeakMap<DocumentNode, Map<string, string | null>>();

/**
 * The variables of a subscription but for the one that says where it goes on, which no event depends on: those who were away
 * and came back stay apart from the others otherwise.
 */
export function variablesWithoutAfter({
  document,
  operationName,
  variableValues,
}: ExecutionArgs): Readonly<Record<string, unknown>> {
  const known = found.get(document) ?? new Map<string, string | null>();
  found.set(document, known);
  const operation = operationName ?? '';
  const name = known.get(operation) ?? findAfter(document, operationName);
  known.set(operation, name);
  const variables: Record<string, unknown> = { ...variableValues };
  if (name !== null) delete variables[name];
  return variables;
}

/** The variable that is given to `after` of the operation's root field, and to nothing else. */
function findAfter(document: DocumentNode, operationName: ExecutionArgs['operationName']): string | null {
  const [field] = getOperationAST(document, operationName)?.selectionSet.selections ?? [];
  if (field?.kind !== Kind.FIELD) return null;
  const value = field.arguments?.find((argument) => argument.name.value === 'after')?.value;
  if (value?.kind !== Kind.VARIABLE) return null;
  const name = value.name.value;
  let uses = 0;
  visit(document, {
    VariableDefinition: () => false,
    Variable: (node) => {
      if (node.name.value === name) uses += 1;
    },
  });
  return uses === 1 ? name : null;
}
