import { ownedBy, teamOf } from '../services/filters.ts';
import { type IdentifiedType, parsePublicId } from '../services/public-ids.ts';
import { builder } from './builder.ts';
import type { Context } from './context.ts';
import { FailedFile } from './failed-file.ts';
import { Import } from './import.ts';
import { Integration } from './integration.ts';
import { Index } from './library-index.ts';
import { Task } from './task.ts';
import { Team } from './team.ts';
import { Video } from './video.ts';

type Find = (context: Context, where: NonNullable<ReturnType<typeof ownedBy>>) => Promise<object | undefined>;

// One row of each type that has ids; every one bound to the viewer's teams.
const FIND: Record<Exclude<IdentifiedType, 'Team' | 'Upload'>, Find> = {
  FailedFile: async ({ db }, where) => branded(FailedFile, await db.query.failedFiles.findFirst({ where })),
  Import: async ({ db }, where) => branded(Import, await db.query.imports.findFirst({ where })),
  Index: async ({ db }, where) => branded(Index, await db.query.indexes.findFirst({ where })),
  Integration: async ({ db }, where) =>
    branded(Integration, await db.query.integrations.findFirst({ where })),
  Task: async ({ db }, where) => branded(Task, await db.query.tasks.findFirst({ where })),
  Video: async ({ db }, where) => branded(Video, await db.query.videos.findFirst({ where })),
};

/** Tells which type of the interface a row is. */
function branded<Row extends object>(
  ref: { addBrand(row: Row): Row },
  row: Row | undefined,
): Row | undefined {
  return row && ref.addBrand(row);
}

async function findTeam({ db, viewer }: Context, publicId: string): Promise<object | undefined> {
  const id = teamOf(viewer, publicId);
  return id === null ? undefined : branded(Team, await db.query.teams.findFirst({ where: { id } }));
}

builder.queryField('node', (t) =>
  t.field({
    type: builder.nodeInterfaceRef(),
    nullable: true,
    args: { id: t.arg.id({ required: true }) },
    resolve: async (_root, { id }, context) => {
      const parsed = parsePublicId(id);
      // An upload has an id, and nothing that could be read of it here.
      if (parsed === null || parsed.type === 'Upload') return null;
      if (parsed.type === 'Team') return (await findTeam(context, id)) ?? null;
      const where = ownedBy(context.viewer, parsed.type, id);
      return where && ((await FIND[parsed.type](context, where)) ?? null);
    },
  }),
);
