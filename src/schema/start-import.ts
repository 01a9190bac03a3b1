import {
  IdempotencyConflictError,
  ImportAlreadyRunningError,
  InvalidInputError,
  NotFoundError,
  RateLimitedError,
  SourceUnavailableError,
  UsageLimitExceededError,
} from '../services/errors.ts';
import { startImport } from '../services/start-import.ts';
import { builder } from './builder.ts';
import { StartImportInput } from './import-input.ts';
import { importSuccess } from './success.ts';

builder.mutationField('startImport', (t) =>
  t.field({
    scope: 'WRITE',
    isRateLimited: true,
    type: importSuccess('StartImportSuccess'),
    description:
      'Starts importing, and says at once which videos will be imported and which will not. Also: ImportAlreadyRunningError, UsageLimitExceededError, SourceUnavailableError, RateLimitedError.',
    args: { input: t.arg({ type: StartImportInput, required: true }) },
    errors: {
      types: [
        InvalidInputError,
        NotFoundError,
        ImportAlreadyRunningError,
        SourceUnavailableError,
        UsageLimitExceededError,
        RateLimitedError,
        IdempotencyConflictError,
      ],
      union: { name: 'StartImportResult' },
    },
    resolve: async (_root, { input }, { services, viewer }) => ({
      importId: await startImport(services, viewer, input),
    }),
  }),
);
