import { initGraphQLTada } from 'gql.tada';
import type { introspection } from './graphql-env.d.ts';

/** Typed documents of the printed schema: what they return and take is known to the compiler. */
export const graphql = initGraphQLTada<{
  introspection: introspection;
  scalars: {
    ID: string;
    DateTime: string;
    BigInt: number;
    Metadata: Record<string, string | number | boolean>;
    JSON: unknown;
  };
}>();
export type { ResultOf, VariablesOf } from 'gql.tada';
