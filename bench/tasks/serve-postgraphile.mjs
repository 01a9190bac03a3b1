import { once } from 'node:events';
import { createServer } from 'node:http';
import { loadLibrary } from '../libraries.mjs';

/** PostGraphile with the preset that its documents recommend, all columns as conditions, and nothing of GraphiQL. */
export async function serve(url) {
  const { postgraphile } = await loadLibrary('postgraphile');
  const { PostGraphileAmberPreset } = await loadLibrary('postgraphile/presets/amber');
  const { makePgService } = await loadLibrary('postgraphile/adaptors/pg');
  const { grafserv } = await loadLibrary('postgraphile/grafserv/node');
  const instance = postgraphile({
    extends: [PostGraphileAmberPreset],
    // It would take indexed columns only as conditions and orders.
    disablePlugins: ['PgIndexBehaviorsPlugin'],
    pgServices: [makePgService({ connectionString: url, schemas: ['public'], poolConfig: { max: 16 } })],
    grafserv: { graphqlPath: '/graphql', graphiql: false, watch: false },
  });
  const server = createServer();
  await instance.createServ(grafserv).addTo(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return `http://127.0.0.1:${server.address().port}/graphql`;
}
