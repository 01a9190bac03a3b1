import { GraphQLError } from 'graphql';
import {
  ForbiddenError,
  IdempotencyConflictError,
  INPUT_ISSUE_CODES,
  InvalidInputError,
  NotFoundError,
  RateLimitedError,
  UsageLimitExceededError,
} from '../services/errors.ts';
import { USAGE_LIMITS } from '../services/usage.ts';
import { SCOPES } from '../services/viewer.ts';
import { builder } from './builder.ts';

/** The request asks for something that cannot be asked for; what is wrong is in the message. */
export function badUserInput(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT' } });
}

/** A subscription's id names nothing that the viewer reaches. */
export function notFound(what: string): GraphQLError {
  return new GraphQLError(`There is no such ${what}.`, { extensions: { code: 'NOT_FOUND' } });
}

/** What every error of a result union is. */
export const ErrorInterface = builder.interfaceRef<Error>('Error').implement({
  fields: (t) => ({ message: t.exposeString('message') }),
});

const InputIssueCode = builder.enumType('InputIssueCode', { values: INPUT_ISSUE_CODES });

const InputIssue = builder.objectRef<InvalidInputError['issues'][number]>('InputIssue').implement({
  description: 'path: from the argument on, list positions as numbers: input, from, videos, 3, url.',
  fields: (t) => ({
    path: t.exposeStringList('path'),
    code: t.expose('code', { type: InputIssueCode }),
    message: t.exposeString('message'),
  }),
});

builder.objectType(InvalidInputError, {
  name: 'InvalidInputError',
  interfaces: [ErrorInterface],
  fields: (t) => ({ issues: t.expose('issues', { type: [InputIssue] }) }),
});

builder.objectType(NotFoundError, {
  name: 'NotFoundError',
  description: 'path: to the id that names nothing, as in InputIssue.',
  interfaces: [ErrorInterface],
  fields: (t) => ({ path: t.exposeStringList('path') }),
});

export const Scope = builder.enumType('Scope', {
  description:
    'ADMIN includes WRITE, WRITE includes READ. READ: queries and subscriptions. WRITE: imports, importPlan, tasks, videos, uploads. ADMIN: indexes, integrations, webhook secrets.',
  values: SCOPES,
});

builder.objectType(ForbiddenError, {
  name: 'ForbiddenError',
  interfaces: [ErrorInterface],
  fields: (t) => ({ requiredScope: t.expose('requiredScope', { type: Scope, nullable: true }) }),
});

export const UsageLimit = builder.enumType('UsageLimit', { values: USAGE_LIMITS });

builder.objectType(UsageLimitExceededError, {
  name: 'UsageLimitExceededError',
  description:
    'The call as a whole: a limit is reached already. Where only part of an import fits, the rest is rejected file by file with USAGE_LIMIT_EXCEEDED. SECONDS are rounded up.',
  interfaces: [ErrorInterface],
  fields: (t) => ({
    limit: t.expose('limit', { type: UsageLimit }),
    used: t.expose('used', { type: 'BigInt' }),
    maximum: t.expose('maximum', { type: 'BigInt' }),
  }),
});

builder.objectType(RateLimitedError, {
  name: 'RateLimitedError',
  interfaces: [ErrorInterface],
  fields: (t) => ({ retryAfterSeconds: t.exposeInt('retryAfterSeconds') }),
});

builder.objectType(IdempotencyConflictError, {
  name: 'IdempotencyConflictError',
  interfaces: [ErrorInterface],
});
