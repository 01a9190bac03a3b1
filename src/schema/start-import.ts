import {
  IdempotencyConflictError,
  ImportAlreadyRunningError,
  InvalidInputError,
  NotFoundError,
  SourceUnavailableError,
} from '../services/errors.ts';
import { startImport } from '../services/start-import.ts';
import { builder } from './builder.ts';
import { StartImportInput } from './import-input.ts';
import { importSuccess } from './success.ts';

builder.mutationField('startImport', (t) =>
  t.field({
    type: importSuccess('StartImportSuccess'),
    description:
      'Starts importing, and says at once which videos will be imported and which will not. Also: ImportAlreadyRunningError, SourceUnavailableError.',
    args: { input: t.arg({ type: StartImportInput, required: true }) },
    errors: {
      types: [
        InvalidInputError,
        NotFoundError,
        ImportAlreadyRunningError,
        SourceUnavailableError,
        IdempotencyConflictError,
      ],
      union: { name: 'StartImportResult' },
    },
    resolve: async (_root, { input }, { services, viewer }) => ({
      importId: await startImport(services, viewer, input),
    }),
  }),
);
