import { randomUUID } from 'node:crypto';
import { storeFingerprint } from '../../dist/services/fingerprints.js';
import { findSimilar } from '../../dist/services/similar-videos.js';

/** A team with so many videos, of which nothing is known but what they look like. */
export async function createLibrary({ db, pool }, count) {
  const [teamId, indexId] = [randomUUID(), randomUUID()];
  await pool.query(`insert into teams (id, name) values ($1, 'Bench')`, [teamId]);
  await pool.query(`insert into indexes (id, team_id, name, is_default) values ($1, $2, 'Bench', true)`, [
    indexId,
    teamId,
  ]);
  const { rows } = await pool.query(
    `insert into videos (id, team_id, index_id, name, file_name, system_metadata, sha256, storage_key, version_import_id)
     select gen_random_uuid(), $1, $2, 'clip', 'clip.mp4', '{}', md5(n::text), 'bench/' || n, gen_random_uuid()
       from generate_series(1, $3::int) n returning id`,
    [teamId, indexId, count],
  );
  const places = new Map(rows.map(({ id }, place) => [id, place]));
  return {
    store: (place, fingerprint) =>
      db.transaction((tx) => storeFingerprint(tx, { id: rows[place].id, teamId }, fingerprint)),
    async similarTo(place, options) {
      const found = await findSimilar(db, { teamId, videoId: rows[place].id }, options);
      return found.map(({ videoId, similarity }) => ({ place: places.get(videoId), similarity }));
    },
  };
}
