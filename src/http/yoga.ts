import { maxAliasesPlugin } from '@escape.tech/graphql-armor-max-aliases';
import { maxDepthPlugin } from '@escape.tech/graphql-armor-max-depth';
import { maxDirectivesPlugin } from '@escape.tech/graphql-armor-max-directives';
import { maxTokensPlugin } from '@escape.tech/graphql-armor-max-tokens';
import {
  type ExecutionArgs,
  type ExecutionResult,
  GraphQLError,
  type GraphQLSchema,
  getOperationAST,
  NoSchemaIntrospectionCustomRule,
  validate,
} from 'graphql';
import { createYoga, type Plugin, type YogaServerInstance } from 'graphql-yoga';
import type { Context } from '../schema/context.ts';
import type { Viewer } from '../services/viewer.ts';
import { type ErrorMask, TOO_COMPLEX, withCode, withoutHint } from './errors.ts';

/** What a transport knows of a request before it is executed. */
export interface RequestContext {
  readonly viewer: Viewer;
}

export type Yoga = YogaServerInstance<RequestContext, Context>;

export interface YogaOptions {
  readonly schema: GraphQLSchema;
  readonly mask: ErrorMask;
  /** In production nothing is told of the schema, except to an ADMIN key. */
  readonly production: boolean;
  readonly createContext: (viewer: Viewer) => Context;
  /** How long an operation with this root field may take, in seconds; subscriptions may take any time. */
  readonly deadlineSeconds: (rootField: string) => number;
}

const limits = { exposeLimits: false, errorMessage: TOO_COMPLEX };

/** What a document may be at most; measured against the largest that GraphiQL and the README need. */
const LIMITS = { tokens: 2_000, depth: 14, aliases: 15, directives: 8 };

/**
 * GraphQL itself, the same for all transports: context, limits, masked errors, a deadline. It serves no page, takes no
 * batches and no forms; who asks is the transport's business.
 */
export function createGraphQL(options: YogaOptions): Yoga {
  return createYoga<RequestContext, Context>({
    schema: options.schema,
    context: ({ viewer }) => options.createContext(viewer),
    graphqlEndpoint: '/graphql',
    graphiql: false,
    landingPage: false,
    multipart: false,
    batching: false,
    cors: false,
    logging: false,
    maskedErrors: { maskError: options.mask },
    plugins: [
      maxTokensPlugin({ n: LIMITS.tokens, ...limits }),
      maxDepthPlugin({ n: LIMITS.depth, ignoreIntrospection: true, ...limits }),
      maxAliasesPlugin({ n: LIMITS.aliases, allowList: [], ...limits }),
      maxDirectivesPlugin({ n: LIMITS.directives, ...limits }),
      useDeadline(options.deadlineSeconds),
      useErrorCodes(),
      ...(options.production ? [useSecrecy()] : []),
    ],
  });
}

/** Answers an operation that takes too long; what it has begun in the database ends by itself. */
function useDeadline(deadlineSeconds: YogaOptions['deadlineSeconds']): Plugin {
  return {
    onExecute({ executeFn, setExecuteFn }) {
      setExecuteFn(async (args: ExecutionArgs) => {
        const seconds = Math.max(...rootFields(args).map(deadlineSeconds));
        let timer: NodeJS.Timeout | undefined;
        const late = new Promise<ExecutionResult>((resolve) => {
          timer = setTimeout(() => resolve({ data: null, errors: [tooLong(seconds)] }), seconds * 1000);
        });
        try {
          return await Promise.race([executeFn(args), late]);
        } finally {
          clearTimeout(timer);
        }
      });
    },
  };
}

function rootFields({ document, operationName }: ExecutionArgs): readonly string[] {
  const operation = getOperationAST(document, operationName);
  const names = operation?.selectionSet.selections.map((selection) =>
    selection.kind === 'Field' ? selection.name.value : '',
  );
  return names?.length ? names : [''];
}

const tooLong = (seconds: number) =>
  new GraphQLError(`The operation took longer than ${seconds} seconds. Ask for less at once.`, {
    extensions: { code: 'QUERY_TOO_COMPLEX' },
  });

/** Gives a code to what validation finds, which no mask sees. */
function useErrorCodes(): Plugin {
  return {
    onValidate() {
      return ({ valid, result, setResult }) => {
        if (!valid) setResult((result as readonly GraphQLError[]).map(withCode)); // what graphql's validate answers
      };
    },
  };
}

/** Tells nothing of the schema: neither its types nor, in errors, names that are nearly what was asked for. */
function useSecrecy(): Plugin<RequestContext> {
  return {
    onValidate({ context, params }) {
      return ({ valid, result, setResult }) => {
        if (context.viewer.scopes.includes('ADMIN')) return;
        if (!valid) return setResult((result as readonly GraphQLError[]).map(withoutHint)); // as above
        // Not as a further rule: what Yoga remembers of a document would not depend on who asked.
        const errors = validate(params.schema, params.documentAST, [NoSchemaIntrospectionCustomRule]);
        if (errors.length > 0) setResult(errors.map(withCode));
      };
    },
  };
}
