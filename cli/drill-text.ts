import type { Check, DrillReport } from '../lib/restore/drill/drill-report.ts';
import { PHASES } from '../lib/restore/drill/phase-times.ts';
import { countedKeysText } from './keys-needed-text.ts';
import { bytes, count, counted, duration, fields } from './output.ts';

/** A report for programs: 64-bit numbers as strings, times as RFC 3339, what is missing as null. */
export function drillValue(report: DrillReport): Readonly<Record<string, unknown>> {
  const { apiServer, etcd, hashKV, keys, listed, problem, recoverySeconds } = report;
  return {
    ...report,
    startedAt: report.startedAt.toISOString(),
    revision: report.revision.toString(),
    etcd: etcd ?? null,
    apiServer: apiServer ?? null,
    recoverySeconds: recoverySeconds ?? null,
    problem:
      problem === undefined ? null : { ...problem, hint: problem.hint ?? null, phase: problem.phase ?? null },
    hashKV: hashKV ?? null,
    keys: keys ?? null,
    listed:
      listed?.map(({ resource, objects, problem: why }) => ({
        ...{ resource, objects: objects ?? null, problem: why ?? null },
      })) ?? null,
  };
}

/** First whether it passed and how long a recovery takes, then what failed and what to do, then what was looked at. */
export function drillText(report: DrillReport): string {
  const { result, recoverySeconds, point, problem, checks, warnings } = report;
  const time = recoverySeconds === undefined ? '' : `, recovered in ${duration(recoverySeconds * 1000)}`;
  const head = `the drill ${result === 'passed' ? 'PASSED' : 'FAILED'}${time}: ${point}, revision ${count(report.revision)}\n`;
  const ended =
    problem === undefined
      ? ''
      : `  ended while ${PHASE_TEXT[problem.phase ?? 'find']}: ${problem.message} [${problem.code}]\n` +
        (problem.hint === undefined ? '' : `  what to do: ${problem.hint}\n`);
  const failed = checks.filter(({ passed }) => !passed);
  const advice = failed.length > 0 && problem === undefined ? `  what to do: ${ADVICE}\n` : '';
  const told = [...failed, ...checks.filter(({ passed }) => passed)].map(checkLine).join('');
  const warned = warnings.map((warning) => `  warning: ${warning}\n`).join('');
  return head + ended + advice + told + warned + figures(report);
}

const ADVICE =
  'do not rely on this restore point before you know why; drill an older one ("etcdguardian points list")';

const PHASE_TEXT: Readonly<Record<(typeof PHASES)[number], string>> = {
  find: 'preparing',
  fetch: 'fetching the data',
  merge: 'merging what was captured',
  verify: 'verifying what was written',
  start: 'starting etcd',
  'api-server': 'starting the API server',
  checks: 'looking at what was restored',
};

function checkLine({ name, passed, detail }: Check): string {
  return `  ${passed ? 'ok    ' : 'FAILED'}  ${name}: ${detail}\n`;
}

function figures(report: DrillReport): string {
  const { etcd, apiServer, resources, keys, phases } = report;
  const parts = PHASES.flatMap((phase) => {
    const seconds = phases[phase];
    return seconds === undefined ? [] : [`${phase} ${duration(seconds * 1000)}`];
  });
  const largest = [...resources].sort((a, b) => b.objects - a.objects).slice(0, MOST_RESOURCES);
  const more = resources.length - largest.length;
  const names = largest.map(({ resource, objects }) => `${resource} ${count(objects)}`);
  return fields([
    ['time', parts.join(', ')],
    ['database', `${bytes(report.databaseBytes)}${keys === undefined ? '' : `, ${counted(keys, 'key')}`}`],
    [
      'objects',
      names.length === 0 ? undefined : names.join(', ') + (more > 0 ? `, and of ${more} more` : ''),
    ],
    ['etcd', etcd && `${etcd.version} (${etcd.program})`],
    ['API server', apiServer && `${apiServer.version} (${apiServer.program})`],
    ['encrypted at rest', countedKeysText(report.encryptionAtRest)],
  ]);
}

const MOST_RESOURCES = 8;
