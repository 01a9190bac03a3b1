import { BARE } from './peers.mjs';

/**
 * Finds the cursors of pages that are far down, and makes sure that all give the same rows.
 * @param pages names and what pagesOf() gives for them
 * @returns for each name the body for each server, and the statement that ours is answered with
 */
export async function prepare(peers, pages) {
  const prepared = {};
  for (const [page, { ours, theirs, skip }] of pages) {
    const bodies = new Map();
    const found = new Map();
    // Ours are good for the bare server, too: it is the same schema.
    const cursors = new Map();
    for (const [name, peer] of peers) {
      const { query, variables } = peer.isOurs ? ours : theirs;
      if (skip > 0 && !cursors.has(query))
        cursors.set(query, await cursorAt(peer, { query, variables, skip }));
      const after = cursors.get(query) ?? null;
      const body = JSON.stringify({ query, variables: { ...variables, after } });
      bodies.set(name, body);
      const { edges, totalCount } = await peer.ask(body);
      found.set(name, edges?.map(({ node }) => (node.rowId ?? node.id).slice(-36)).join() ?? totalCount);
    }
    if (new Set(found.values()).size > 1) throw new Error(`the servers disagree about ${page}`);
    prepared[page] = { bodies, statement: await peers.get(BARE).statement(bodies.get(BARE)) };
  }
  return prepared;
}

/** Ours is found page by page, as a client does it; PostGraphile jumps. */
async function cursorAt(peer, { query, variables, skip }) {
  if (!peer.isOurs) {
    const asked = { ...variables, first: 1, offset: skip - 1 };
    return (await peer.ask(JSON.stringify({ query, variables: asked }))).pageInfo.endCursor;
  }
  const narrow =
    'query ($first: Int!, $after: String) { tasks(first: $first, after: $after) { pageInfo { endCursor } } }';
  let after = null;
  for (let left = skip; left > 0; left -= 100) {
    const asked = { first: Math.min(left, 100), after };
    after = (await peer.ask(JSON.stringify({ query: narrow, variables: asked }))).pageInfo.endCursor;
  }
  return after;
}
