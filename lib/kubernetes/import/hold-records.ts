import { GuardianError } from '../../guardian-error.ts';
import type { ImportRequest } from './import-request.ts';
import { judgeRecord, type JudgingRules } from './judge-record.ts';
import { lineText, type ObjectOutcome, type RestorableObject } from './stored-record.ts';

/** Objects that may be restored, and where their values wait. */
export interface HeldRecords {
  readonly objects: { readonly object: RestorableObject; readonly offset: number; readonly length: number }[];
  /** Of those that may not, or need not. */
  readonly outcomes: ObjectOutcome[];
}

/** More aren't restored at once, nor larger: whoever made the bytes must not decide what they cost us. */
export const MOST_OBJECTS = 100_000;
export const MOST_BYTES = 2 ** 30;

/** Reads all records, judges each, and keeps the values of those that may be restored. Rejects with `tenant.too-large`. */
export async function holdRecords(
  request: Pick<ImportRequest, 'records' | 'place' | 'namespaces' | 'held' | 'served' | 'signal'>,
): Promise<HeldRecords> {
  const { records, place, held, served, signal } = request;
  const rules: JudgingRules = { namespaces: new Set(request.namespaces), held, served };
  const objects: HeldRecords['objects'] = [];
  const outcomes: ObjectOutcome[] = [];
  const seen = new Set<string>();
  let bytes = 0;
  for await (const record of records) {
    signal.throwIfAborted();
    bytes += record.key.length + record.value.length;
    if (bytes > MOST_BYTES) throw tooLarge(`more than ${MOST_BYTES} bytes`);
    if (objects.length + outcomes.length >= MOST_OBJECTS) throw tooLarge(`more than ${MOST_OBJECTS} objects`);
    const judged = judgeRecord(record, rules);
    if (judged.verdict === 'not-wanted') continue;
    if (judged.verdict !== 'restorable') {
      const result = judged.verdict === 'skipped' ? 'skipped' : 'failed';
      outcomes.push({ result, object: judged.object, reason: judged.reason });
      continue;
    }
    if (seen.has(record.key)) {
      outcomes.push({ result: 'failed', object: lineText(record.key), reason: 'the backup has it twice' });
      continue;
    }
    seen.add(record.key);
    const offset = await place.append(record.value);
    objects.push({ object: judged.object, offset, length: record.value.length });
  }
  return { objects, outcomes };
}

function tooLarge(what: string): GuardianError {
  return new GuardianError('tenant.too-large', `the backup holds ${what} for these namespaces`, {
    hint: 'Name fewer namespaces in namespaceFilter.',
  });
}
