import { ImportAlreadyRunningError, SourceUnavailableError } from '../services/errors.ts';
import { builder } from './builder.ts';
import { ErrorInterface } from './errors.ts';
import { Import, ImportErrorCode } from './import.ts';

builder.objectType(SourceUnavailableError, {
  name: 'SourceUnavailableError',
  interfaces: [ErrorInterface],
  fields: (t) => ({ code: t.expose('code', { type: ImportErrorCode }) }),
});

builder.objectType(ImportAlreadyRunningError, {
  name: 'ImportAlreadyRunningError',
  interfaces: [ErrorInterface],
  fields: (t) => ({
    runningImport: t.drizzleField({
      type: Import,
      resolve: async (query, { importId }, _args, { db }) => {
        const row = await db.query.imports.findFirst(query({ where: { id: importId } }));
        if (!row) throw new Error(`import ${importId} is gone`);
        return row;
      },
    }),
  }),
});
