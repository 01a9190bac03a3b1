import { builder } from './builder.ts';

export const StringFilter = builder.inputType('StringFilter', {
  description: 'contains ignores case.',
  fields: (t) => ({
    equals: t.string(),
    contains: t.string(),
    startsWith: t.string(),
    in: t.stringList(),
  }),
});

export const FloatRange = builder.inputType('FloatRange', {
  fields: (t) => ({ equals: t.float(), gte: t.float(), lte: t.float() }),
});

export const IntRange = builder.inputType('IntRange', {
  fields: (t) => ({ equals: t.int(), gte: t.int(), lte: t.int() }),
});

export const DateTimeRange = builder.inputType('DateTimeRange', {
  fields: (t) => ({ gte: t.field({ type: 'DateTime' }), lt: t.field({ type: 'DateTime' }) }),
});

export const OrderDirection = builder.enumType('OrderDirection', { values: ['ASC', 'DESC'] as const });

interface Order {
  readonly field: 'CREATED_AT' | 'UPDATED_AT';
  readonly direction: 'ASC' | 'DESC';
}

/** The column and direction of an `orderBy`; newest first when there is none. */
export function orderOf(order: Order | null | undefined) {
  return {
    by: order?.field === 'UPDATED_AT' ? ('updatedAt' as const) : ('createdAt' as const),
    direction: order?.direction === 'ASC' ? ('asc' as const) : ('desc' as const),
  };
}
