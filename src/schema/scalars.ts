import { GraphQLError, Kind, type ValueNode, valueFromASTUntyped } from 'graphql';
import type { Metadata } from '../db/tables/imports.ts';
import { builder } from './builder.ts';

// RFC 3339, section 5.6; lower-case t and z are allowed by it.
const RFC_3339 = /^(\d{4}-\d{2}-\d{2})[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/;

const invalid = (message: string) => new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT' } });

function parseDateTime(value: unknown): Date {
  const [text, day] = (typeof value === 'string' ? RFC_3339.exec(value) : null) ?? [];
  const date = new Date(text?.toUpperCase() ?? Number.NaN);
  // JavaScript takes February 30 for March 2; PostgreSQL takes no year 0, and none of five digits as JavaScript writes it.
  const year = date.getUTCFullYear();
  if (!(year >= 1 && year <= 9999) || new Date(`${day}T00:00:00Z`).toISOString().slice(0, 10) !== day) {
    throw invalid('A DateTime is a text such as 2026-01-31T12:00:00Z (RFC 3339), of the years 1 to 9999.');
  }
  return date;
}

builder.scalarType('DateTime', {
  description: 'An instant, RFC 3339 in UTC.',
  extensions: {},
  specifiedByURL: 'https://scalars.graphql.org/andimarek/date-time.html',
  serialize: (value) => value.toISOString(),
  parseValue: parseDateTime,
});

function parseBigInt(value: unknown): number {
  const number = typeof value === 'string' && /^-?\d{1,16}$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isSafeInteger(number)) {
    throw invalid('A BigInt is a whole number from -(2^53 - 1) to 2^53 - 1.');
  }
  return number;
}

builder.scalarType('BigInt', {
  description: 'A whole number beyond 32 bits (bytes), as a JSON number up to 2^53 - 1.',
  serialize: (value) => value,
  parseValue: parseBigInt,
});

function parseMetadata(value: unknown): Metadata {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw invalid('Metadata is an object of strings, numbers and booleans.');
  }
  for (const [key, item] of Object.entries(value)) {
    const flat =
      typeof item === 'string' ||
      typeof item === 'boolean' ||
      (typeof item === 'number' && Number.isFinite(item));
    if (!flat)
      throw invalid(
        `Metadata is flat: the value of "${key}" must be a string, a finite number or a boolean.`,
      );
  }
  // Every value has just been checked.
  return value as Metadata;
}

/** A key that occurs twice in a literal would silently lose a value. */
function namesKeysOnce(node: ValueNode): boolean {
  if (node.kind === Kind.LIST) return node.values.every(namesKeysOnce);
  if (node.kind !== Kind.OBJECT) return true;
  const names = node.fields.map((field) => field.name.value);
  return new Set(names).size === names.length && node.fields.every(({ value }) => namesKeysOnce(value));
}

/** A literal in the document. */
function parseMetadataLiteral(
  node: ValueNode,
  variables: Record<string, unknown> | null | undefined,
): Metadata {
  if (!namesKeysOnce(node)) throw invalid('Metadata names each key once.');
  return parseMetadata(valueFromASTUntyped(node, variables));
}

builder.scalarType('Metadata', {
  description:
    'Flat user metadata: values are strings, integers, floats or booleans; anything else is a GraphQL error. Up to 100 keys of 1 to 255 characters and 16 KiB of JSON; the field names of SystemMetadata and `length` are reserved: else InvalidInputError.',
  serialize: (value) => value,
  parseValue: parseMetadata,
  parseLiteral: parseMetadataLiteral,
});

/** Numbers beyond what a number can hold would come out as null. */
function isJson(whole: unknown): boolean {
  // Not a call for each level: a value may be nested as deep as a body is long.
  const left = [whole];
  while (left.length > 0) {
    const value = left.pop();
    if (typeof value === 'number' && !Number.isFinite(value)) return false;
    if (value !== null && typeof value === 'object') for (const part of Object.values(value)) left.push(part);
  }
  return true;
}

function parseJson(value: unknown): unknown {
  if (!isJson(value)) throw invalid('A number of a JSON value must be finite.');
  return value;
}

builder.scalarType('JSON', {
  description: 'Any JSON value.',
  serialize: (value) => value,
  parseValue: parseJson,
  parseLiteral: (node, variables) => {
    if (!namesKeysOnce(node)) throw invalid('A JSON object names each key once.');
    return parseJson(valueFromASTUntyped(node, variables));
  },
});
