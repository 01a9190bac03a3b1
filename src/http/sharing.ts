import { type DocumentNode, type ExecutionArgs, type ExecutionResult, execute } from 'graphql';
import type { Context, WatchViewer } from '../schema/context.ts';
import { GoneError } from '../services/errors.ts';
import type { Viewer } from '../services/viewer.ts';
import { isDatabaseAway } from '../services/when-connected.ts';
import type { Delivery } from './delivery.ts';
import type { ErrorMask } from './errors.ts';
import { variablesWithoutAfter } from './resume-variable.ts';

export interface SharingOptions {
  readonly createContext: (viewer: Viewer, watchViewer: WatchViewer) => Context;
  readonly mask: ErrorMask;
}

/** Executes the events of subscriptions, one that goes to many once for all who may see the same. */
export interface Sharing {
  /**
   * What executes the events of one subscription.
   * @returns a function that rejects where the database cannot be reached
   */
  executor(args: ExecutionArgs): (event: unknown) => Promise<ExecutionResult>;
  /** Hands over what goes to many as JSON from now on, past all that is between, for the operation with this context. */
  deliver(context: object, delivery: Delivery): void;
  /**
   * What delivers the results of the operation with this context.
   * @returns a function that gives null for a result that has to go the usual way
   */
  deliverer(context: unknown): (result: ExecutionResult) => Promise<void> | null;
}

/** Longer variables are not worth to be compared. */
const MAX_KEY_LENGTH = 8_000;
/** What an event says is kept in so many forms, for as long as anybody has it that is slow. */
const MAX_FORMS = 50;

/**
 * An event is executed once for all subscriptions with the same teams, scopes, document, operation and variables. The context of
 * such an execution is made anew and knows nothing of whoever is first; and where a field looks at what else there is of a viewer, its key,
 * the result is given to nobody, and everybody's operation is executed with their own context, now and from then on.
 */
export function createSharing({ createContext, mask }: SharingOptions): Sharing {
  const results = new WeakMap<object, Map<string, Promise<ExecutionResult | null>>>();
  const jsons = new WeakMap<object, () => Buffer>();
  const deliveries = new WeakMap<object, Delivery>();
  const personal = new WeakSet<DocumentNode>();
  const numberOf = numberObjects();

  const executeForAll = async (args: ExecutionArgs, event: object): Promise<ExecutionResult | null> => {
    let isPersonal = false;
    const viewer = withoutKey(viewerOf(args), () => {
      isPersonal = true;
    });
    const result = await executeOne({ ...args, contextValue: createContext(viewer, watchNobody) }, event);
    if (result === GONE) return GONE;
    if (isPersonal) {
      personal.add(args.document);
      return null;
    }
    const shown: ExecutionResult = result.errors ? { ...result, errors: result.errors.map(mask) } : result;
    const json = once(() => Buffer.from(JSON.stringify(shown)));
    jsons.set(shown, json);
    // Yoga's way to be told how a result is written; not enumerable, so that no other answer has such a thing in it.
    Object.defineProperty(shown, 'stringify', { value: () => json().toString() });
    return shown;
  };
  const share = (args: ExecutionArgs, key: string, event: object): Promise<ExecutionResult | null> | null => {
    const made = results.get(event) ?? new Map<string, Promise<ExecutionResult | null>>();
    results.set(event, made);
    const known = made.get(key);
    if (known !== undefined) return known;
    if (made.size >= MAX_FORMS) return null;
    const result = executeForAll(args, event);
    made.set(key, result);
    // Whoever waits is told; the next to ask tries again, as where a field could not be read.
    const forget = () => made.delete(key);
    result.then((ended) => ended?.errors && forget(), forget);
    return result;
  };
  return {
    executor(args) {
      const key = keyOf(args, numberOf);
      return async (event) => {
        if (key === null || !isShared(event) || personal.has(args.document)) return executeOne(args, event);
        return (await share(args, key, event)) ?? (await executeOne(args, event));
      };
    },
    deliver: (context, delivery) => void deliveries.set(context, delivery),
    deliverer(context) {
      const delivery = typeof context === 'object' && context !== null ? deliveries.get(context) : undefined;
      return (result) => {
        const json = delivery && jsons.get(result);
        return json ? delivery(json()) : null;
      };
    },
  };
}

/** The viewer behind an operation: contexts are made by our own context factory. */
const viewerOf = ({ contextValue }: ExecutionArgs) => (contextValue as Context).viewer;

/** Everything that decides what an execution may show; null where that is too long. */
function keyOf(args: ExecutionArgs, numberOf: (document: DocumentNode) => number): string | null {
  const { scopes, teamIds, defaultTeamId, uploadToken } = viewerOf(args);
  if (uploadToken) return null;
  const variables = variablesWithoutAfter(args);
  const key = JSON.stringify([
    numberOf(args.document),
    args.operationName ?? null,
    [scopes, teamIds, defaultTeamId],
    variables,
  ]);
  return key.length > MAX_KEY_LENGTH ? null : key;
}

/** A viewer of whom everything else than what is part of the key tells that it was looked at. */
function withoutKey(viewer: Viewer, onLook: () => void): Viewer {
  const { scopes, teamIds, defaultTeamId } = viewer;
  return {
    scopes,
    teamIds,
    defaultTeamId,
    get keyId() {
      onLook();
      return viewer.keyId;
    },
    get keyName() {
      onLook();
      return viewer.keyName;
    },
  };
}

/** What an execution makes of an event about what was deleted before it was read. */
const GONE: ExecutionResult = {};

/** Whether an event is about something that is there no more: nobody is told of it. */
export const isGone = (result: ExecutionResult): boolean => result === GONE;

/** Each subscription looks after its own viewer; events are executed for all of them. */
const watchNobody: WatchViewer = () => () => {};

async function executeOne(args: ExecutionArgs, event: unknown): Promise<ExecutionResult> {
  const result = await execute({ ...args, rootValue: event });
  const away = result.errors?.find(({ originalError }) => isDatabaseAway(originalError));
  if (away !== undefined) throw away.originalError;
  return result.errors?.some(({ originalError }) => originalError instanceof GoneError) ? GONE : result;
}

/** Whether an event is one object for all. */
const isShared = (event: unknown): event is object =>
  typeof event === 'object' && event !== null && 'shared' in event && event.shared === true;

function numberObjects(): (document: DocumentNode) => number {
  const numbers = new WeakMap<DocumentNode, number>();
  let count = 0;
  return (document) => {
    const number = numbers.get(document) ?? ++count;
    numbers.set(document, number);
    return number;
  };
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
