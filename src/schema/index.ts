import './cancel-retry.ts';
import './create-task.ts';
import './delete-import.ts';
import './delete-task.ts';
import './errors.ts';
import './failed-file.ts';
import './import-plan.ts';
import './import.ts';
import './index-mutations.ts';
import './integration-mutations.ts';
import './integration.ts';
import './library-index.ts';
import './live.ts';
import './node.ts';
import './scalars.ts';
import './start-import.ts';
import './task.ts';
import './tasks-changed.ts';
import './team.ts';
import './video-mutations.ts';
import './upload-tokens.ts';
import './video.ts';
import './webhook-mutations.ts';
import './webhook.ts';
import { builder } from './builder.ts';

/** The public API. */
export const schema = builder.toSchema();
