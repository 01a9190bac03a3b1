import { defineConfig } from 'drizzle-kit';

// Paths are relative to the folder that drizzle-kit is started in: the root of the project.
export default defineConfig({
  dialect: 'postgresql',
  schema: './src/db/tables/*.ts',
  out: './migrations',
});
