import { type AuditResult, serverAudits } from 'graphql-http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { KEY, type SmallServer, startSmallServer } from './support.ts';

let server: SmallServer;
beforeAll(async () => {
  server = await startSmallServer();
});
afterAll(() => server.http.stop());

/** With a key, which the audits know nothing of. */
const withKey: typeof fetch = (input, init) =>
  fetch(input, {
    ...init,
    headers: { ...Object.fromEntries(new Headers(init?.headers)), authorization: `Bearer ${KEY}` },
  });

const audits = serverAudits({ url: () => `${server.url}/graphql`, fetchFn: withKey });

/** What the specification leaves open and is not so here. */
const LEFT_OPEN: readonly string[] = [
  // Operations come by POST only, so that no link of another site can execute anything.
  'MAY accept application/x-www-form-urlencoded formatted GET requests',
  'MAY allow URL-encoded JSON string {variables} parameter in GETs when accepting application/graphql-response+json',
  'MAY allow URL-encoded JSON string {variables} parameter in GETs when accepting application/json',
];

test.each(audits.map((audit) => [audit.name, audit] as const))('%s', async (name, audit) => {
  const result: AuditResult = await audit.fn();
  if (LEFT_OPEN.includes(name)) expect(result.status).toBe('notice');
  else expect(result, JSON.stringify(result)).toMatchObject({ status: 'ok' });
});
