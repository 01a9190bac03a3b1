/** The benchmarks by name: `npm run bench -- NAME`. Each prints one table, with its peers in the same run. */
const BENCHMARKS = {
  start: { about: 'startImport: from the request to the durable answer', run: () => import('./start.mjs') },
  jobs: {
    about: 'the job loop beside other queues [--rounds N] [--jobs N] [--only TEXT]',
    run: () => import('./jobs.mjs'),
    takesOptions: true,
  },
  tasks: {
    about:
      'pages of a long list of tasks beside other servers [--rows N] [--rounds N] [--seconds S] [--warm S] [--only TEXT]',
    run: () => import('./tasks.mjs'),
    takesOptions: true,
  },
  plan: {
    about:
      'planning an import from a bucket [--rounds N] [--clips N] [--objects N] [--latency MS] [--folder PATH]',
    run: () => import('./plan.mjs'),
    takesOptions: true,
  },
  hostile: {
    about: 'full ingestion with broken files among the good ones [--rounds N] [--good N] [--broken N]',
    run: () => import('./hostile.mjs'),
    takesOptions: true,
  },
  media: {
    about:
      'what is made of stored files [--table copy|imports|full] [--rounds N] [--seconds N,N] [--clips N] [--full N] [--folder PATH]',
    run: () => import('./media.mjs'),
    takesOptions: true,
  },
  alike: {
    about:
      'videos that look alike: how many are found, how many wrongly [--clips N] [--seconds S] [--folder PATH]',
    run: () => import('./alike.mjs'),
    takesOptions: true,
  },
  progress: {
    about:
      'live progress with many subscribers, and of large imports [--rounds N] [--subscribers N,N] [--tasks N] [--part fanout|paced|reports|large] [--large N] [--only snapshot|cancel|cost]',
    run: () => import('./progress.mjs'),
    takesOptions: true,
  },
};

const [name = '', ...rest] = process.argv.slice(2);
const benchmark = Object.hasOwn(BENCHMARKS, name) ? BENCHMARKS[name] : undefined;
if (benchmark === undefined || (rest.length > 0 && !benchmark.takesOptions)) {
  const lines = Object.entries(BENCHMARKS).map(([key, { about }]) => `  ${key.padEnd(10)} ${about}`);
  process.stderr.write(`Usage: npm run bench -- NAME [OPTIONS]\n\n${lines.join('\n')}\n`);
  process.exitCode = 1;
} else await (await benchmark.run()).run(rest);
