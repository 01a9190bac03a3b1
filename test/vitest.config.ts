import { defineConfig } from 'vitest/config';

export default defineConfig({
  // Vite would pick graphql's ES module for our files while Node picks the CommonJS one for Pothos and Yoga:
  // two copies, and "another module or realm" errors.
  resolve: { alias: { graphql: 'graphql/index.js' } },
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    testTimeout: 180_000,
    hookTimeout: 240_000,
    pool: 'forks',
    maxWorkers: 3,
  },
});
