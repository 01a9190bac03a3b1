import { expect, test } from 'vitest';
import { printedSchema } from '../../src/schema/print.ts';

test('the checked-in schema is the one that is served', async () => {
  await expect(printedSchema()).toMatchFileSnapshot('../../src/schema/schema.graphql');
});
