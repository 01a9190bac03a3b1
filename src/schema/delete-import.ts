import { deleteImport } from '../services/delete-import.ts';
import { ImportNotFinishedError, NotFoundError } from '../services/errors.ts';
import { builder } from './builder.ts';
import { ErrorInterface } from './errors.ts';
import { ImportState } from './import.ts';

builder.objectType(ImportNotFinishedError, {
  name: 'ImportNotFinishedError',
  interfaces: [ErrorInterface],
  fields: (t) => ({ state: t.expose('state', { type: ImportState }) }),
});

const DeleteImportSuccess = builder
  .objectRef<{ readonly deletedId: string }>('DeleteImportSuccess')
  .implement({ fields: (t) => ({ deletedId: t.exposeID('deletedId') }) });

builder.mutationField('deleteImport', (t) =>
  t.field({
    scope: 'WRITE',
    type: DeleteImportSuccess,
    description:
      'A finished import, with its rejected files and its tasks. Videos stay, and so do the tasks of those that are there, with import null; the other tasks of a large import may be seen for some seconds more. Also: ImportNotFinishedError.',
    args: { id: t.arg.id({ required: true }) },
    errors: { types: [NotFoundError, ImportNotFinishedError], union: { name: 'DeleteImportResult' } },
    resolve: async (_root, { id }, { services, viewer }) => {
      await deleteImport(services, viewer, id);
      return { deletedId: id };
    },
  }),
);
