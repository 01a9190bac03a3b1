import { PRODUCT_NAMES } from '../db/tables/products.ts';
import type { StoredStage } from '../db/tables/tasks.ts';
import { builder } from './builder.ts';
import { known } from './known.ts';
import { TaskError } from './task-error.ts';

const STATES = ['WAITING', 'RUNNING', 'DONE', 'FAILED', 'SKIPPED', 'CANCELED'] as const;

const StageName = builder.enumType('StageName', {
  values: ['UPLOAD', 'VALIDATION', ...PRODUCT_NAMES] as const,
});
const StageState = builder.enumType('StageState', {
  description: 'SKIPPED: the task ended before it. CANCELED: the task was canceled in it.',
  values: STATES,
});

const instant = (text: string | undefined) => (text === undefined ? null : new Date(text));

export const TaskStage = builder.objectRef<StoredStage>('TaskStage').implement({
  description:
    'One entry for each stage that this task will run, in their order, from the start. UPLOAD and VALIDATION fail the task. A later stage that fails for good does not: the task becomes READY, and its result stays as it was, null at first.',
  fields: (t) => ({
    name: t.expose('name', { type: StageName }),
    state: t.field({ type: StageState, resolve: ({ state }) => known(STATES, state) }),
    fraction: t.exposeFloat('fraction'),
    error: t.field({ type: TaskError, nullable: true, resolve: ({ error }) => error }),
    startedAt: t.field({ type: 'DateTime', nullable: true, resolve: ({ startedAt }) => instant(startedAt) }),
    finishedAt: t.field({
      type: 'DateTime',
      nullable: true,
      resolve: ({ finishedAt }) => instant(finishedAt),
    }),
  }),
});
