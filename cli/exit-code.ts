import { GuardianError } from '../lib/guardian-error.ts';

/** What the process's exit status says; `--help` prints this table. */
export const EXIT_CODES = {
  ok: 0,
  failed: 1,
  usage: 2,
  unsound: 3,
  notFound: 4,
  refused: 5,
  unreachable: 6,
  interrupted: 130,
} as const;

export const EXIT_CODE_HELP = `Exit status:
  0    done
  1    failed for a reason that none of the below covers
  2    the command line is wrong
  3    the data is not sound: damaged, unsigned, unproven where proof was demanded
  4    what was named does not exist
  5    refused: permission, password, certificate or key
  6    etcd or the store could not be reached, or was busy; trying again may help
  130  interrupted`;

/** The exit status for anything that was thrown. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof GuardianError)) return EXIT_CODES.failed;
  return RULES.find(([pattern]) => pattern.test(error.code))?.[1] ?? byRetry(error);
}

const RULES: readonly (readonly [RegExp, number])[] = [
  [/^usage\./, EXIT_CODES.usage],
  [/^store\.url$/, EXIT_CODES.usage],
  [/^interrupted$/, EXIT_CODES.interrupted],
  [/not-found$/, EXIT_CODES.notFound],
  [/^store\.missing$/, EXIT_CODES.notFound],
  [
    /^(encryption|signature|keys)\..*(missing|untrusted|unreadable|permissions|passphrase)$/,
    EXIT_CODES.refused,
  ],
  [/^(bolt|mvcc|snapshot|signature)\./, EXIT_CODES.unsound],
  [/^encryption\.(truncated|corrupt|context|plaintext)$/, EXIT_CODES.unsound],
  [
    /^(repository|backup|restore)\.(damaged|misplaced|unsound|rolled-back|unproven|hash-mismatch)$/,
    EXIT_CODES.unsound,
  ],
  [/^store\.corrupt$/, EXIT_CODES.unsound],
  [/(denied|unauthenticated)$/, EXIT_CODES.refused],
  [/^etcd\.tls/, EXIT_CODES.refused],
];

function byRetry(error: GuardianError): number {
  return error.retryable ? EXIT_CODES.unreachable : EXIT_CODES.failed;
}
