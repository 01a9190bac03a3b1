import SchemaBuilder from '@pothos/core';
import ComplexityPlugin from '@pothos/plugin-complexity';
import DrizzlePlugin from '@pothos/plugin-drizzle';
import ErrorsPlugin from '@pothos/plugin-errors';
import RelayPlugin from '@pothos/plugin-relay';
import { getTableConfig } from 'drizzle-orm/pg-core';
import { relations } from '../db/relations.ts';
import type { Metadata } from '../db/tables/imports.ts';
import { ForbiddenError } from '../services/errors.ts';
import { type IdentifiedType, parsePublicId, toPublicId } from '../services/public-ids.ts';
import './access.ts';
import type { Context } from './context.ts';
import { costOptions } from './cost.ts';
import './loaded-columns.ts';
import { PAGE_SIZE } from './page-size.ts';

export interface SchemaTypes {
  Context: Context;
  DrizzleRelations: typeof relations;
  Scalars: {
    ID: { Input: string; Output: string };
    DateTime: { Input: Date; Output: Date };
    BigInt: { Input: number; Output: number };
    Metadata: { Input: Metadata; Output: Metadata };
    JSON: { Input: unknown; Output: unknown };
  };
  DefaultFieldNullability: false;
  Connection: {
    totalCount: number | (() => number | Promise<number>);
  };
}

/**
 * Where every type of the API is declared; the files of the nouns do that. What an operation costs comes before all else, errors
 * before what may refuse a call, and that before the plugin that reads rows.
 */
export const builder = new SchemaBuilder<SchemaTypes>({
  plugins: [ComplexityPlugin, 'cost', ErrorsPlugin, 'access', RelayPlugin, 'loadedColumns', DrizzlePlugin],
  defaultFieldNullability: false,
  drizzle: {
    client: (context) => context.db,
    getTableConfig,
    relations,
    maxConnectionSize: PAGE_SIZE.max,
    defaultConnectionSize: PAGE_SIZE.default,
  },
  complexity: costOptions,
  relay: {
    cursorType: 'String',
    nodesOnConnection: true,
    nodeQueryOptions: false,
    nodesQueryOptions: false,
    // The names of the types that have ids are the keys of the prefixes.
    encodeGlobalID: (typename, id) => toPublicId(typename as IdentifiedType, String(id)),
    decodeGlobalID: (text) => {
      const parsed = parsePublicId(text);
      return { typename: parsed?.type ?? '', id: parsed?.id ?? '' };
    },
  },
  // Whatever has a result union may be refused.
  errors: { directResult: true, defaultTypes: [ForbiddenError] },
});

builder.queryType();
builder.mutationType();
builder.subscriptionType();
