import SchemaBuilder, {
  BasePlugin,
  type FieldNullability,
  type InputFieldMap,
  type PothosOutputFieldConfig,
  PothosSchemaError,
  type SchemaTypes,
  type TypeParam,
} from '@pothos/core';
import type { GraphQLFieldResolver } from 'graphql';
import { RateLimitedError } from '../services/errors.ts';
import { requireScope, type Scope, type Viewer } from '../services/viewer.ts';
import type { Context } from './context.ts';

type Resolve<Types extends SchemaTypes> = GraphQLFieldResolver<unknown, Types['Context'], object>;

/** Who may call a root field, and how often. */
interface Access {
  readonly scope?: Scope;
  readonly isRateLimited?: boolean;
  readonly isForUploadTokens?: boolean;
}

/** An upload token has no scopes: it may call what is for such tokens, whose services know what of it is its own. */
function requireAccess(viewer: Viewer, { scope = 'READ', isForUploadTokens = false }: Access): void {
  if (isForUploadTokens && viewer.uploadToken !== undefined) return;
  requireScope(viewer, scope);
}

/**
 * The one place where a key's scope is looked at: each mutation names the scope that it takes, which building the schema
 * insists on; queries and subscriptions take READ unless they name another. Nothing of the field runs before that.
 */
class AccessPlugin<Types extends SchemaTypes> extends BasePlugin<Types> {
  override onOutputFieldConfig(field: PothosOutputFieldConfig<Types>): PothosOutputFieldConfig<Types> {
    if (field.kind === 'Mutation' && !(accessOf(field).scope && 'errors' in field.pothosOptions))
      throw new PothosSchemaError(`Mutation.${field.name} needs a scope and a result union`);
    return field;
  }

  override wrapResolve(resolve: Resolve<Types>, field: PothosOutputFieldConfig<Types>): Resolve<Types> {
    if (field.kind !== 'Query' && field.kind !== 'Mutation') return resolve;
    const access = accessOf(field);
    const { isRateLimited = false } = access;
    return (root, args, context, info) => {
      requireAccess(contextOf(context).viewer, access);
      if (!isRateLimited) return resolve(root, args, context, info);
      return takeTurn(contextOf(context)).then(() => resolve(root, args, context, info));
    };
  }

  override wrapSubscribe(
    subscribe: Resolve<Types> | undefined,
    field: PothosOutputFieldConfig<Types>,
  ): Resolve<Types> | undefined {
    const access = accessOf(field);
    return (
      subscribe &&
      ((root, args, context, info) => {
        requireAccess(contextOf(context).viewer, access);
        return subscribe(root, args, context, info);
      })
    );
  }
}

// The options below, which Pothos keeps as they were given.
const accessOf = ({ pothosOptions }: { readonly pothosOptions: object }): Access => pothosOptions as Access;

// A plugin is written for any builder; there is only ours.
const contextOf = (context: object): Context => context as Context;

async function takeTurn({ viewer, rateLimit, tellRetryAfter }: Context): Promise<void> {
  try {
    await rateLimit.takeTurn(viewer.keyId);
  } catch (error) {
    if (error instanceof RateLimitedError) tellRetryAfter?.(error.retryAfterSeconds);
    throw error;
  }
}

declare global {
  export namespace PothosSchemaTypes {
    export interface Plugins<Types extends SchemaTypes> {
      access: AccessPlugin<Types>;
    }
    export interface QueryFieldOptions<
      Types extends SchemaTypes,
      Type extends TypeParam<Types>,
      Nullable extends FieldNullability<Type>,
      Args extends InputFieldMap,
      ResolveReturnShape,
    > {
      /** READ unless given. */
      scope?: Scope;
      /** Whether a token for one upload may call it, for what is its own. */
      isForUploadTokens?: boolean;
    }
    export interface SubscriptionFieldOptions<
      Types extends SchemaTypes,
      Type extends TypeParam<Types>,
      Nullable extends FieldNullability<Type>,
      Args extends InputFieldMap,
      ResolveShape,
      ResolveReturnShape,
    > {
      /** Whether a token for one upload may call it, for what is its own. */
      isForUploadTokens?: boolean;
    }
    export interface MutationFieldOptions<
      Types extends SchemaTypes,
      Type extends TypeParam<Types>,
      Nullable extends FieldNullability<Type>,
      Args extends InputFieldMap,
      ResolveReturnShape,
    > {
      scope: Scope;
      /** Whether a key may call it a number of times a minute only; RateLimitedError has to be among its errors. */
      isRateLimited?: boolean;
      /** Whether a token for one upload may call it, for what is its own. */
      isForUploadTokens?: boolean;
    }
  }
}

SchemaBuilder.registerPlugin('access', AccessPlugin);
