import {
  INTEGRATION_KINDS,
  type StoredFolderLocation,
  type StoredS3Location,
} from '../db/tables/integrations.ts';
import { integrationWhere, ownedBy } from '../services/filters.ts';
import { describeLocation, UNFINISHED_IMPORT } from '../services/integrations.ts';
import { builder } from './builder.ts';
import { Import } from './import.ts';
import { countOf, readList } from './paging.ts';

const IntegrationKind = builder.enumType('IntegrationKind', { values: INTEGRATION_KINDS });

interface S3LocationShape extends StoredS3Location {
  readonly accessKeyHint: string | null;
}

const S3Location = builder.objectRef<S3LocationShape>('S3Location').implement({
  fields: (t) => ({
    bucket: t.exposeString('bucket'),
    prefix: t.string({ nullable: true, resolve: ({ prefix }) => prefix }),
    region: t.string({ nullable: true, resolve: ({ region }) => region }),
    endpoint: t.string({ nullable: true, resolve: ({ endpoint }) => endpoint }),
    forcePathStyle: t.exposeBoolean('forcePathStyle'),
    accessKeyHint: t.exposeString('accessKeyHint', {
      nullable: true,
      description: 'Its last 3 characters; null without credentials.',
    }),
  }),
});

const FolderLocation = builder.objectRef<StoredFolderLocation>('FolderLocation').implement({
  fields: (t) => ({ path: t.exposeString('path') }),
});

export const Integration = builder.drizzleNode('integrations', {
  name: 'Integration',
  select: { columns: { id: true } },
  description: 'A source set up once, and imported from by its id.',
  id: { column: (row) => row.id },
  fields: (t) => ({
    team: t.relation('team'),
    name: t.exposeString('name'),
    kind: t.expose('kind', { type: IntegrationKind }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime' }),
    location: t.string({
      description:
        'Where it points, for people: s3://bucket/prefix, file:///folder. The one of the kind in parts, without secrets, follows.',
      select: { columns: { s3: true, folder: true } },
      resolve: (row) => describeLocation(row),
    }),
    s3: t.field({
      type: S3Location,
      nullable: true,
      select: { columns: { s3: true, accessKeyHint: true } },
      resolve: ({ s3, accessKeyHint }) => s3 && { ...s3, accessKeyHint },
    }),
    folder: t.field({
      type: FolderLocation,
      nullable: true,
      select: { columns: { folder: true } },
      resolve: ({ folder }) => folder,
    }),
    runningImport: t.field({
      type: Import,
      nullable: true,
      description: 'The import that runs from it now, if one does.',
      select: (_args, _context, nestedSelection) => ({
        columns: {},
        with: { imports: nestedSelection({ ...UNFINISHED_IMPORT, limit: 1 }) },
      }),
      resolve: ({ imports: [running] }) => running,
    }),
  }),
});

const IntegrationEdge = builder.edgeObject({
  type: Integration,
  name: 'IntegrationEdge',
  nodeNullable: false,
});
const IntegrationConnection = builder.connectionObject(
  {
    type: Integration,
    name: 'IntegrationConnection',
    nodeNullable: false,
    edgesNullable: { list: false, items: false },
    fields: (t) => ({ totalCount: t.int({ resolve: countOf }) }),
  },
  IntegrationEdge,
);

builder.queryFields((t) => ({
  integration: t.drizzleField({
    type: Integration,
    nullable: true,
    args: { id: t.arg.id({ required: true }) },
    resolve: async (query, _root, { id }, { db, viewer }) => {
      const where = ownedBy(viewer, 'Integration', id);
      return where && (await db.query.integrations.findFirst(query({ where })));
    },
  }),
  integrations: t.connection(
    {
      type: Integration,
      args: { teamId: t.arg.id() },
      resolve: (_root, args, context, info) => {
        const where = integrationWhere(context.viewer, args.teamId);
        const order = { list: 'integrations', by: 'createdAt', direction: 'desc' } as const;
        return readList({ args, context, info }, { table: 'integrations', order, where, hasOneIndex: true });
      },
    },
    IntegrationConnection,
    IntegrationEdge,
  ),
}));
