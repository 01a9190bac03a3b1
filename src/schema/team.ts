import { builder } from './builder.ts';

export const Team = builder.drizzleNode('teams', {
  name: 'Team',
  select: { columns: { id: true } },
  id: { column: (team) => team.id },
  fields: (t) => ({ name: t.exposeString('name') }),
});

const Scope = builder.enumType('Scope', {
  description: 'ADMIN includes WRITE, WRITE includes READ.',
  values: ['ADMIN'] as const,
});

const Viewer = builder.objectRef<{ readonly keyName: string; readonly scopes: readonly string[] }>('Viewer');

Viewer.implement({
  description:
    "A list is of one team: teamId, else the team of another id in its filter, else the key's default team. Lookups by id reach all of the key's teams.",
  fields: (t) => ({
    keyName: t.exposeString('keyName'),
    scopes: t.field({
      type: [Scope],
      resolve: ({ scopes }) => (scopes.includes('ADMIN') ? ['ADMIN' as const] : []),
    }),
    defaultTeam: t.drizzleField({
      type: Team,
      resolve: async (query, _viewer, _args, { db, viewer }) => {
        const team = await db.query.teams.findFirst(query({ where: { id: viewer.defaultTeamId } }));
        if (!team) throw new Error('the default team of a key is gone');
        return team;
      },
    }),
    teams: t.drizzleField({
      type: [Team],
      resolve: (query, _viewer, _args, { db, viewer }) =>
        db.query.teams.findMany(
          query({ where: { id: { in: [...viewer.teamIds] } }, orderBy: { createdAt: 'asc', id: 'asc' } }),
        ),
    }),
  }),
});

builder.queryField('viewer', (t) =>
  t.field({
    type: Viewer,
    description: 'The key behind this request: its teams and scopes.',
    resolve: (_root, _args, { viewer }) => viewer,
  }),
);
