import { type Usage as UsageShape, usedBy } from '../services/usage.ts';
import { hasScope, SCOPES } from '../services/viewer.ts';
import { signingSecrets } from '../services/webhook-secrets.ts';
import { builder } from './builder.ts';
import { Scope } from './errors.ts';
import { known } from './known.ts';

const Usage = builder.objectRef<UsageShape>('Usage').implement({
  description:
    "What a team's videos hold, and may hold at most: null without a limit. Videos that are on their way in count against the limits too.",
  fields: (t) => ({
    videos: t.exposeInt('videos'),
    bytes: t.expose('bytes', { type: 'BigInt' }),
    seconds: t.exposeFloat('seconds'),
    maxVideos: t.exposeInt('maxVideos', { nullable: true }),
    maxBytes: t.expose('maxBytes', { type: 'BigInt', nullable: true }),
    maxSeconds: t.exposeFloat('maxSeconds', { nullable: true }),
  }),
});

export const Team = builder.drizzleNode('teams', {
  name: 'Team',
  select: { columns: { id: true } },
  id: { column: (team) => team.id },
  fields: (t) => ({
    name: t.exposeString('name'),
    usage: t.field({
      type: Usage,
      select: {
        columns: { maxVideos: true, maxBytes: true, maxSeconds: true },
        extras: { used: (team) => usedBy(team.id) },
      },
      resolve: ({ used: { videos, bytes, milliseconds }, maxVideos, maxBytes, maxSeconds }) => ({
        videos,
        bytes,
        seconds: milliseconds / 1000,
        maxVideos,
        maxBytes,
        maxSeconds,
      }),
    }),
    webhookSecret: t.string({
      nullable: true,
      description: "Signs the team's webhooks (whsec_…). Null without the scope ADMIN.",
      select: { columns: { id: true } },
      resolve: async ({ id }, _args, { services, viewer }) => {
        if (!hasScope(viewer, 'ADMIN') || !viewer.teamIds.includes(id)) return null;
        const [current] = await signingSecrets(services, id);
        return current;
      },
    }),
  }),
});

const Viewer = builder.objectRef<{ readonly keyName: string; readonly scopes: readonly string[] }>('Viewer');

Viewer.implement({
  description:
    "A list is of one team: teamId, else the team of another id in its filter, else the key's default team. Lookups by id reach all of the key's teams.",
  fields: (t) => ({
    keyName: t.exposeString('keyName'),
    scopes: t.field({
      type: [Scope],
      resolve: ({ scopes }) => scopes.map((scope) => known(SCOPES, scope)),
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
    description: 'The key behind this request: its teams, scopes, limits and usage.',
    resolve: (_root, _args, { viewer }) => viewer,
  }),
);
