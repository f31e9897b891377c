import { encodable, type Sent } from './fields.ts';
import { METHODS, wireOf } from './methods.ts';
import { type TaskState, taskState, type TaskUpdate } from './task-messages.ts';

/** An ended task with what came of it, as it is kept on disk: JSON with names as in agent.proto. */
export type TaskRecord = TaskState;

export function recordText(record: Sent<TaskRecord>): string {
  // Through the wire's form, which fills in what was left out.
  const { responseSerialize, responseDeserialize } = wireOf(METHODS.describe);
  const bytes = responseSerialize(Object(encodable({ tasks: [record] })) as object);
  const { tasks } = responseDeserialize(bytes) as { readonly tasks: readonly unknown[] };
  return `${JSON.stringify(tasks[0])}\n`;
}

/** Throws at text that isn't one. */
export function recordOf(text: string): TaskRecord {
  return taskState.parse(JSON.parse(text));
}

/** An update with everything that was left out. */
export function wholeUpdate(update: Sent<TaskUpdate>): TaskUpdate {
  const { responseSerialize, responseDeserialize } = wireOf(METHODS.takeBackup);
  const bytes = responseSerialize(Object(encodable(update)) as object);
  return METHODS.takeBackup.reply.parse(responseDeserialize(bytes));
}
