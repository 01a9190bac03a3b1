import { type ASTVisitor, GraphQLError, isObjectType, type ValidationContext } from 'graphql';

/** The fields of these types that a token for one upload may ask for; what is not named here it may not. */
const FIELDS: Readonly<Record<string, readonly string[] | 'ALL'>> = {
  Query: ['task'],
  Mutation: ['createTask'],
  Subscription: ['taskProgress'],
  CreateTaskSuccess: ['task'],
  TaskProgressEvent: ['task'],
  Task: [
    'id',
    'videoId',
    'fileName',
    'name',
    'status',
    'outcome',
    'skipReason',
    'reason',
    'error',
    'waitingFor',
    'nextAttemptAt',
    'progress',
    'stages',
    'attempts',
    'metadata',
    'systemMetadata',
    'createdAt',
    'updatedAt',
    'startedAt',
    'finishedAt',
  ],
  TaskProgress: 'ALL',
  TaskStage: 'ALL',
  // Nor are the figures of a limit.
  TaskError: ['code', 'message', 'retryable'],
  SystemMetadata: 'ALL',
  InvalidInputError: 'ALL',
  InputIssue: 'ALL',
  NotFoundError: 'ALL',
  ForbiddenError: 'ALL',
  RateLimitedError: 'ALL',
  IdempotencyConflictError: 'ALL',
  // How much its team uses is not told.
  UsageLimitExceededError: ['message', 'limit'],
};

/** A rule of validation: a document asks only for what a token for one upload may ask for, fragments included. */
export function UploadTokenFieldsRule(context: ValidationContext): ASTVisitor {
  return {
    Field(node) {
      const type = context.getParentType();
      const name = node.name.value;
      if (name === '__typename' || type === null || type === undefined) return;
      // Interfaces have nothing that their types do not have, each of which is asked for by its own name as well.
      if (!isObjectType(type) && (name === 'message' || name === 'id')) return;
      const fields = FIELDS[type.name];
      if (fields === 'ALL' || fields?.includes(name)) return;
      context.reportError(
        new GraphQLError(`An upload token may not read ${type.name}.${name}.`, {
          nodes: node,
          extensions: { code: 'FORBIDDEN' },
        }),
      );
    },
  };
}
