import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { recordOf, recordText, type TaskRecord } from '../../lib/agent-api/task-record.ts';
import { readState, writeState } from '../state/state-file.ts';

/** Results of ended tasks, for a control plane that comes back: one file each, with no credentials in it. */
export interface TaskRecords {
  readonly all: readonly TaskRecord[];
  find(operation: string): TaskRecord | undefined;
  /** Rejects with `agent.state`; known in memory all the same. */
  keep(record: TaskRecord): Promise<void>;
}

/** The newest are kept. */
const MOST = 100;

/** What can't be read is left out, and told: the work is found in the store by its operation, too. */
export async function openTaskRecords(
  folder: string,
  onUnreadable: (error: unknown) => void,
): Promise<TaskRecords> {
  const records = new Map<string, TaskRecord>();
  for (const record of await readAll(folder, onUnreadable)) records.set(record.operation, record);
  const forgetOldest = async (): Promise<void> => {
    for (const { operation } of [...records.values()]
      .sort(byEnd)
      .slice(0, Math.max(records.size - MOST, 0))) {
      records.delete(operation);
      await rm(fileOf(folder, operation), { force: true });
    }
  };
  await forgetOldest();
  return {
    get all() {
      return [...records.values()];
    },
    find: (operation) => records.get(operation),
    async keep(record) {
      records.set(record.operation, record);
      await writeState(fileOf(folder, record.operation), recordText(record));
      await forgetOldest();
    },
  };
}

function byEnd(a: TaskRecord, b: TaskRecord): number {
  return a.endedMs - b.endedMs;
}

function fileOf(folder: string, operation: string): string {
  return join(folder, `${operation}.json`);
}

async function readAll(folder: string, onUnreadable: (error: unknown) => void): Promise<TaskRecord[]> {
  const records: TaskRecord[] = [];
  const names = await readdir(folder).catch(() => []);
  for (const name of names.filter((one) => one.endsWith('.json') && !one.startsWith('.'))) {
    try {
      const path = join(folder, name);
      if ((await stat(path)).size > LARGEST) throw new Error(`${path} is too large`);
      const record = recordOf((await readState(path)) ?? '');
      if (`${record.operation}.json` === name) records.push(record);
    } catch (error) {
      onUnreadable(error);
    }
  }
  return records;
}

const LARGEST = 1 << 20;
