import { createPublicKey } from 'node:crypto';
import { request } from 'node:https';
import { z } from 'zod';
import type { Clock } from '../../lib/clock.ts';
import { GuardianError, reasonOf } from '../../lib/guardian-error.ts';
import { parseAuthorityCertificate, scopeOfAuthority } from '../../lib/pki/authority.ts';
import { createCertificateRequest } from '../../lib/pki/certificate-request.ts';
import { type CredentialTexts, parseCredentials } from '../../lib/pki/credentials.ts';
import { createKey, privateKeyPem } from '../../lib/pki/key-pair.ts';
import { namelessClientTls } from '../../lib/pki/mutual-tls.ts';
import { peerIdentity, requirePeer } from '../../lib/pki/peer-identity.ts';
import { splitPem } from '../../lib/pki/pem.ts';
import { verifyCertificate } from '../../lib/pki/verify-certificate.ts';

export interface CertificateWish {
  /** `https://SERVICE.NAMESPACE.svc:9641/enrol`. */
  readonly url: string;
  /** Whom to trust, in PEM: the control plane must show a certificate of one of them. */
  readonly trust: string;
  /** The pod's projected token. */
  readonly token: string;
  readonly node: string;
}

/** `Retry-After` of a refusal, for who tries again. */
export class EnrolmentRefused extends GuardianError {
  readonly retryAfterMs: number | undefined;

  constructor(problem: z.output<typeof Problem>, retryAfterMs: number | undefined) {
    const { code, message, hint, retryable } = problem;
    super(code, message, { retryable, ...(hint === undefined ? {} : { hint }) });
    this.retryAfterMs = retryAfterMs;
  }
}

/**
 * Asks the control plane for a certificate of a new key, which leaves this process only as a file on this node. Rejects
 * with `agent.enrolment-unreachable` (retryable), `agent.enrolment` for an answer that isn't one, and as the control plane
 * refuses.
 */
export async function requestCertificate(
  wish: CertificateWish,
  clock: Clock,
  signal: AbortSignal,
): Promise<CredentialTexts> {
  const authorities = authoritiesOf(wish.trust);
  const key = await createKey();
  const csr = createCertificateRequest(key);
  const body = JSON.stringify({ csr, token: wish.token, node: wish.node });
  const answer = await post(wish, body, authorities, clock, signal);
  const texts = { cert: answer.cert, key: privateKeyPem(key), ca: answer.ca };
  try {
    const credentials = parseCredentials(texts, 'what the control plane answered');
    const expected = { cluster: authorities.cluster, roles: ['agent'], node: wish.node } as const;
    requirePeer(peerIdentity(credentials.certificate), expected);
    if (!createPublicKey(key).equals(credentials.certificate.publicKey))
      throw new Error('it is for another key');
    verifyCertificate(credentials.certificate, {
      ...{ authorities: credentials.authorities, now: clock(), usage: 'server' },
    });
  } catch (error) {
    throw new GuardianError(
      'agent.enrolment',
      `the certificate that was issued can't be used: ${reasonOf(error)}`,
      {
        hint: 'Compare the clocks of this node and of the control plane, and their versions.',
        retryable: true,
        cause: error,
      },
    );
  }
  return texts;
}

interface Authorities {
  readonly cluster: string;
  readonly ca: string;
  readonly authorities: ReturnType<typeof parseAuthorityCertificate>[];
}

/** Throws `agent.trust` for a text that names no authority of ours, or those of several clusters. */
export function authoritiesOf(trust: string): Authorities {
  try {
    const authorities = splitPem(trust).map((pem) => parseAuthorityCertificate(pem, 'the trust file'));
    const clusters = new Set(authorities.map((one) => scopeOfAuthority(one, 'the trust file').cluster));
    const [cluster] = clusters;
    if (cluster === undefined || clusters.size > 1) throw new Error(`it names ${clusters.size} clusters`);
    return { cluster, ca: trust, authorities };
  } catch (error) {
    throw new GuardianError('agent.trust', `the trust file can't be used: ${reasonOf(error)}`, {
      hint: 'It is entry ca.crt of ConfigMap etcdguardian-trust, which the control plane keeps: is it running?',
      retryable: true,
      cause: error,
    });
  }
}

const Answer = z.object({ cert: z.string().min(1), ca: z.string().min(1) });
const Problem = z.object({
  code: z.string(),
  message: z.string(),
  hint: z.string().optional(),
  retryable: z.boolean(),
});

const TIMEOUT_MS = 30_000;
const LARGEST_ANSWER = 256 * 1024;

async function post(
  { url }: CertificateWish,
  body: string,
  { cluster, ...trusted }: Authorities,
  clock: Clock,
  signal: AbortSignal,
): Promise<z.output<typeof Answer>> {
  const { promise, resolve, reject } = Promise.withResolvers<{
    status: number;
    retryAfter: string;
    text: string;
  }>();
  const sent = request(
    url,
    {
      ...namelessClientTls(trusted, { cluster, roles: ['control-plane'] }, clock),
      ...{ method: 'POST', agent: false, signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]) },
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    },
    (response) => {
      const pieces: Buffer[] = [];
      let size = 0;
      response.on('data', (piece: Buffer) => {
        size += piece.length;
        if (size > LARGEST_ANSWER)
          response.destroy(new Error(`it answers more than ${LARGEST_ANSWER} bytes`));
        else pieces.push(piece);
      });
      response.on('error', reject);
      response.on('end', () => {
        const retryAfter = response.headers['retry-after'] ?? '';
        resolve({
          status: response.statusCode ?? 0,
          retryAfter,
          text: Buffer.concat(pieces).toString('utf8'),
        });
      });
    },
  );
  sent.on('error', reject);
  sent.end(body);
  const { status, retryAfter, text } = await promise.catch((error: unknown) => {
    signal.throwIfAborted();
    throw unreachable(url, error);
  });
  const json = parsedJson(text);
  const answer = Answer.safeParse(json);
  if (status === 200 && answer.success) return answer.data;
  const problem = Problem.safeParse(json);
  const seconds = /^\d{1,4}$/.test(retryAfter) ? Number(retryAfter) : undefined;
  if (status !== 200 && problem.success)
    throw new EnrolmentRefused(problem.data, seconds === undefined ? undefined : seconds * 1000);
  throw new GuardianError('agent.enrolment', `${url} answers ${status}, and nothing that makes sense`, {
    hint: 'Does another server answer at this address? Agent and control plane must be of the same version.',
    retryable: true,
  });
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function unreachable(url: string, error: unknown): GuardianError {
  return new GuardianError('agent.enrolment-unreachable', `no certificate from ${url}: ${reasonOf(error)}`, {
    hint: 'Is the control plane running (kubectl get pods -l app.kubernetes.io/component=controlplane)? The agent goes on with the certificate that it has.',
    retryable: true,
    cause: error,
  });
}
