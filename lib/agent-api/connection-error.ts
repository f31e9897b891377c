import { type StatusObject, status } from '@grpc/grpc-js';
import { GuardianError } from '../guardian-error.ts';
import { uncarried } from './carried-error.ts';
import { RefusedAfterHandshake } from './walk-to-agent.ts';

/** Whom a call was for, in messages. */
export interface Callee {
  readonly node: string;
  /** host:port */
  readonly address: string;
}

/** Why there is no connection, from what the system or TLS said. */
export function noConnection(callee: Callee, failure: Error & { readonly code?: string }): GuardianError {
  const whom = `the agent of ${callee.node} (${callee.address})`;
  if (failure instanceof GuardianError) {
    const { code, hint, message } = failure;
    if (code === 'pki.node' || code === 'pki.role' || code === 'pki.cluster' || code === 'pki.peer')
      return new GuardianError('agent.identity', `${whom} is not who answers: ${message}`, {
        ...(hint === undefined ? {} : { hint }),
        cause: failure,
      });
    return certificateError(`${whom} shows a certificate that is refused: ${message}`, HINTS.theirs, failure);
  }
  const code = failure.code ?? '';
  if (failure instanceof RefusedAfterHandshake)
    return certificateError(`${whom} refuses our certificate: ${failure.message}`, HINTS.ours, failure);
  if (CHAIN_ERRORS.test(code) || code.startsWith('ERR_TLS'))
    return certificateError(
      `${whom} shows a certificate that is refused: ${failure.message} (${code})`,
      HINTS.theirs,
      failure,
    );
  return new GuardianError('agent.unreachable', `${whom} can't be reached: ${failure.message}`, {
    hint: `is its pod running (kubectl get pods -l app.kubernetes.io/component=agent -o wide), and may this machine connect to its port?`,
    retryable: true,
    cause: failure,
  });
}

/** What a call's end means: the error that the agent sent, else gRPC's. */
export function callError(callee: Callee, method: string, ended: StatusObject): GuardianError {
  const sent = uncarried(ended);
  if (sent !== undefined) return sent;
  const { error, what, hint, retryable } = MEANINGS.get(ended.code) ?? UNEXPECTED;
  return new GuardianError(
    error,
    `the agent of ${callee.node} (${callee.address}) ${what} (${method}: ${ended.details})`,
    {
      hint,
      retryable,
      cause: ended,
    },
  );
}

interface Meaning {
  readonly error: string;
  /** Continues the sentence that starts with the agent. */
  readonly what: string;
  readonly hint: string;
  readonly retryable: boolean;
}

const LOST: Meaning = {
  error: 'agent.connection-lost',
  what: 'broke the call off',
  hint: 'It was restarted, or the network broke. Work that it had begun may go on: ask again with the same operation.',
  retryable: true,
};

const MEANINGS: ReadonlyMap<number, Meaning> = new Map([
  [status.UNAVAILABLE, LOST],
  [status.CANCELLED, LOST],
  [
    status.DEADLINE_EXCEEDED,
    {
      error: 'agent.deadline',
      what: "didn't answer in time",
      hint: 'The node is overloaded, its disk hangs, or the network swallows packets.',
      retryable: true,
    },
  ],
  [
    status.UNIMPLEMENTED,
    {
      error: 'agent.unsupported',
      what: "doesn't know this call",
      hint: 'Agent and caller must be of the same version: finish the upgrade.',
      retryable: false,
    },
  ],
  [
    status.RESOURCE_EXHAUSTED,
    {
      error: 'agent.too-large',
      what: 'takes or sends no message of that size',
      hint: 'See the message; the limits are those of lib/agent-api.',
      retryable: false,
    },
  ],
]);

const UNEXPECTED: Meaning = {
  error: 'agent.failed',
  what: 'failed',
  hint: "See the agent's log: kubectl logs -l app.kubernetes.io/component=agent",
  retryable: false,
};

const HINTS = {
  ours: "It must be of the authority that the agent trusts and within its time: compare the clocks, and see the agent's log.",
  theirs:
    'The agent must have enrolled with the authority that is trusted here, and be able to renew: see its log, and compare the clocks.',
};

/** OpenSSL's verdicts over a chain, as Node names them. */
const CHAIN_ERRORS =
  /CERT|ISSUER|SELF_SIGNED|UNABLE_TO|PATH_LENGTH|INVALID_(CA|PURPOSE)|SUBTREE|SUBJECT|AKID|^ERR_SSL_.*VERIFY/;

function certificateError(message: string, hint: string, cause: Error): GuardianError {
  // Time and renewal mend what rotation or an ended certificate broke.
  return new GuardianError('agent.certificate', message, { hint, retryable: true, cause });
}
