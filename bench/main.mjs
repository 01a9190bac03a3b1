/** The benchmarks by name: `npm run bench -- NAME`. Each prints one table, with its peers in the same run. */
const BENCHMARKS = {
  start: { about: 'startImport: from the request to the durable answer', run: () => import('./start.mjs') },
};

const [name = '', ...rest] = process.argv.slice(2);
const benchmark = Object.hasOwn(BENCHMARKS, name) ? BENCHMARKS[name] : undefined;
if (benchmark === undefined || rest.length > 0) {
  const lines = Object.entries(BENCHMARKS).map(([key, { about }]) => `  ${key.padEnd(10)} ${about}`);
  process.stderr.write(`Usage: npm run bench -- NAME\n\n${lines.join('\n')}\n`);
  process.exitCode = 1;
} else await (await benchmark.run()).run();
