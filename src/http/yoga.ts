import { maxAliasesPlugin } from '@escape.tech/graphql-armor-max-aliases';
import { maxDepthPlugin } from '@escape.tech/graphql-armor-max-depth';
import { maxDirectivesPlugin } from '@escape.tech/graphql-armor-max-directives';
import { maxTokensPlugin } from '@escape.tech/graphql-armor-max-tokens';
import {
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
  GraphQLError,
  type GraphQLSchema,
  getOperationAST,
  NoSchemaIntrospectionCustomRule,
  validate,
} from 'graphql';
import { createYoga, isAsyncIterable, type Plugin, type YogaServerInstance } from 'graphql-yoga';
import type { Context, WatchViewer } from '../schema/context.ts';
import { UploadTokenFieldsRule } from '../schema/upload-token-fields.ts';
import { TOO_COMPLEX } from '../services/errors.ts';
import { hasScope, type Viewer } from '../services/viewer.ts';
import { useCompiledQueries } from './compiled-queries.ts';
import { type DocumentCache, NO_CACHE } from './document-cache.ts';
import { type ErrorMask, withCode } from './errors.ts';
import type { Outcome } from './json-path.ts';
import { usePatientEvents } from './patient-events.ts';
import type { Sharing } from './sharing.ts';

/** What a transport knows of a request before it is executed. */
export interface RequestContext {
  readonly viewer: Viewer;
  /** Adds a Retry-After to the answer; only where the transport has such a thing. */
  readonly tellRetryAfter?: (seconds: number) => void;
  readonly watchViewer: WatchViewer;
  /** What was executed already: it is answered, and nothing executed. */
  readonly outcome?: Outcome;
}

export type Yoga = YogaServerInstance<RequestContext, Context>;

export interface YogaOptions {
  readonly schema: GraphQLSchema;
  readonly mask: ErrorMask;
  readonly sharing: Sharing;
  readonly documents: DocumentCache;
  /** In production errors propose no names, and the schema's types are told to an ADMIN key only. */
  readonly production: boolean;
  readonly createContext: (viewer: Viewer, watchViewer: WatchViewer) => Context;
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
    context: ({ viewer, watchViewer, tellRetryAfter }) => ({
      ...options.createContext(viewer, watchViewer),
      ...(tellRetryAfter === undefined ? {} : { tellRetryAfter }),
    }),
    graphqlEndpoint: '/graphql',
    graphiql: false,
    landingPage: false,
    multipart: false,
    batching: false,
    cors: false,
    // The transports have theirs, which is larger than Yoga's own.
    maxRequestBodySize: false,
    logging: false,
    maskedErrors: { maskError: options.mask },
    parserAndValidationCache: { documentCache: options.documents, errorCache: NO_CACHE },
    plugins: [
      useOutcome(),
      maxTokensPlugin({ n: LIMITS.tokens, ...limits }),
      useShallowParser(),
      maxDepthPlugin({ n: LIMITS.depth, ignoreIntrospection: true, ...limits }),
      maxAliasesPlugin({ n: LIMITS.aliases, allowList: [], ...limits }),
      maxDirectivesPlugin({ n: LIMITS.directives, ...limits }),
      useCompiledQueries(),
      useDeadline(options.deadlineSeconds),
      usePatientEvents(options.sharing),
      useWantedEvents(),
      useErrorCodes(options),
      useUploadTokens(),
      ...(options.production ? [useSecrecy()] : []),
    ],
  });
}

/** Answers what was executed already. */
function useOutcome(): Plugin<RequestContext> {
  return {
    onParams({ context, setResult }) {
      // What the transport handed over; the library knows no type for it here.
      const { outcome } = context as Partial<RequestContext>;
      if (outcome === undefined) return;
      if ('error' in outcome) throw outcome.error;
      setResult(outcome.result);
    },
  };
}

/** Nested lists and objects take the parser's whole stack before they are too many tokens. */
function useShallowParser(): Plugin {
  return {
    onParse({ parseFn, setParseFn }) {
      setParseFn((source, options) => {
        try {
          return parseFn(source, options);
        } catch (error) {
          if (error instanceof RangeError) throw new GraphQLError(TOO_COMPLEX);
          throw error;
        }
      });
    },
  };
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

/** Ends a subscription whose client takes no stream: its answer is 406, and nobody else would ever end it. */
function useWantedEvents(): Plugin {
  return {
    async onResultProcess({ result, resultProcessor }) {
      if (resultProcessor === undefined && isAsyncIterable(result))
        await result[Symbol.asyncIterator]().return?.();
    },
  };
}

/** Gives what validation finds the form for callers; no mask sees it. */
function useErrorCodes({ mask }: YogaOptions): Plugin {
  return {
    onValidate() {
      return ({ valid, result, setResult }) => {
        if (!valid) setResult((result as readonly GraphQLError[]).map(mask)); // what graphql's validate answers
      };
    },
  };
}

/** Lets upload tokens ask only for what is theirs. Not as a rule of validation, for the same reason as secrecy is none. */
function useUploadTokens(): Plugin<RequestContext> {
  const found = new WeakMap<DocumentNode, readonly GraphQLError[]>();
  const errorsOf = ({ schema, document, contextValue }: ExecutionArgs): readonly GraphQLError[] => {
    // What the context function above makes.
    const { viewer } = contextValue as Context;
    if (viewer.uploadToken === undefined) return [];
    const errors = found.get(document) ?? validate(schema, document, [UploadTokenFieldsRule]);
    found.set(document, errors);
    return errors;
  };
  return {
    onExecute({ args, setResultAndStopExecution }) {
      const errors = errorsOf(args);
      if (errors.length > 0) setResultAndStopExecution({ errors: errors.map(withCode) });
    },
    onSubscribe({ args, setResultAndStopExecution }) {
      const errors = errorsOf(args);
      if (errors.length > 0) setResultAndStopExecution({ errors: errors.map(withCode) });
    },
  };
}

/** Tells the schema's types to an ADMIN key only. Not as a rule of validation: Yoga remembers its results, whoever asked. */
function useSecrecy(): Plugin<RequestContext> {
  const found = new WeakMap<DocumentNode, readonly GraphQLError[]>();
  return {
    onExecute({ args, context, setResultAndStopExecution }) {
      if (hasScope(context.viewer, 'ADMIN')) return;
      const { schema, document } = args;
      const errors = found.get(document) ?? validate(schema, document, [NoSchemaIntrospectionCustomRule]);
      found.set(document, errors);
      if (errors.length > 0) setResultAndStopExecution({ errors: errors.map(withCode) });
    },
  };
}
