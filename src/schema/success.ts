import { builder } from './builder.ts';
import { Import } from './import.ts';
import { Task } from './task.ts';

/** The success of a mutation that carries an import, read anew. */
export const importSuccess = (name: string) =>
  builder.objectRef<{ readonly importId: string }>(name).implement({
    fields: (t) => ({
      import: t.drizzleField({
        type: Import,
        resolve: async (query, { importId }, _args, { db }) => {
          const row = await db.query.imports.findFirst(query({ where: { id: importId } }));
          if (!row) throw new Error(`import ${importId} is gone`);
          return row;
        },
      }),
    }),
  });

/** The success of a mutation that carries a task, read anew. */
export const taskSuccess = (name: string) =>
  builder.objectRef<{ readonly taskId: string }>(name).implement({
    fields: (t) => ({
      task: t.drizzleField({
        type: Task,
        resolve: async (query, { taskId }, _args, { db }) => {
          const row = await db.query.tasks.findFirst(query({ where: { id: taskId } }));
          if (!row) throw new Error(`task ${taskId} is gone`);
          return row;
        },
      }),
    }),
  });

/** The success of a mutation that deletes: nothing is left but the id. */
export const deletedSuccess = (name: string) =>
  builder
    .objectRef<{ readonly deletedId: string }>(name)
    .implement({ fields: (t) => ({ deletedId: t.exposeID('deletedId') }) });
