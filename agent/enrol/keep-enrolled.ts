import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../../lib/clock.ts';
import { GuardianError, reasonOf } from '../../lib/guardian-error.ts';
import { errorFields, errorText, type LogLines } from '../../lib/log-lines.ts';
import { credentialFolder, type CredentialSource, saveCredentials } from '../../lib/pki/credential-folder.ts';
import type { Credentials } from '../../lib/pki/credentials.ts';
import { peerIdentity, requirePeer } from '../../lib/pki/peer-identity.ts';
import { renewalTime } from '../../lib/pki/renewal.ts';
import { verifyCertificate } from '../../lib/pki/verify-certificate.ts';
import { authoritiesOf, EnrolmentRefused, requestCertificate } from './request-certificate.ts';

export interface EnrolmentSettings {
  /** `https://SERVICE.NAMESPACE.svc:9641/enrol`. */
  readonly url: string;
  /** Entry `ca.crt` of the trust ConfigMap, mounted; may come later. */
  readonly trustFile: string;
  /** A projected token with the enrolment's audience, which kubelet exchanges. */
  readonly tokenFile: string;
  /** Where key, certificate and trust are kept on this node. */
  readonly credentialsDir: string;
  readonly node: string;
}

export interface EnrolmentTools {
  readonly clock: Clock;
  readonly log: LogLines;
  readonly random?: () => number;
  /** Between two looks at the files, and at the clock. Default 15 s. */
  readonly lookMs?: number;
  /** After a first failure; doubled with each further one, up to 5 min. Default 1 s. */
  readonly retryMs?: number;
}

export interface KeptEnrolment extends AsyncDisposable {
  readonly credentials: CredentialSource;
  /** Why there is no newer certificate; undefined while all is well. */
  readonly problem: GuardianError | undefined;
}

/**
 * Keeps this node's agent in possession of a certificate. Resolves as soon as there is a good one: from the node's disk,
 * so that an agent starts with no API server, else from the control plane, which is asked until it answers. From then on
 * renews at two thirds of its life, takes over what the trust file says, and enrols anew when its own authority isn't
 * trusted any more. Ends with the signal, or when disposed of; rejects with the signal's reason.
 */
export async function keepEnrolled(
  settings: EnrolmentSettings,
  tools: EnrolmentTools,
  signal: AbortSignal,
): Promise<KeptEnrolment> {
  const ending = new AbortController();
  const stopped = AbortSignal.any([signal, ending.signal]);
  const enroller = new Enroller(settings, tools, stopped);
  const running = enroller.run();
  const ended = running.then(() => {
    stopped.throwIfAborted();
  });
  await Promise.race([enroller.first, ended]);
  ended.catch(() => undefined);
  return {
    credentials: enroller.credentials,
    get problem() {
      return enroller.problem;
    },
    async [Symbol.asyncDispose]() {
      ending.abort();
      await running;
    },
  };
}

const LOOK_MS = 15_000;
const RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 300_000;
/** As long as there is no certificate at all: everything waits for it. */
const LONGEST_FIRST_RETRY_MS = 10_000;

class Enroller {
  readonly credentials: CredentialSource;
  problem: GuardianError | undefined;
  readonly #settings: EnrolmentSettings;
  readonly #tools: EnrolmentTools;
  readonly #signal: AbortSignal;
  readonly #first = Promise.withResolvers<undefined>();
  #failures = 0;
  #enrolled = false;
  /** The trust file as it was last taken over. */
  #takenTrust: string | undefined;

  constructor(settings: EnrolmentSettings, tools: EnrolmentTools, signal: AbortSignal) {
    this.#settings = settings;
    this.#tools = tools;
    this.#signal = signal;
    this.credentials = credentialFolder(settings.credentialsDir);
    this.#first.promise.catch(() => undefined);
  }

  /** Resolves when there are good credentials. */
  get first(): Promise<undefined> {
    return this.#first.promise;
  }

  async run(): Promise<void> {
    while (!this.#isOver()) {
      let pauseMs = this.#tools.lookMs ?? LOOK_MS;
      try {
        await this.#look();
        this.#succeeded();
      } catch (error) {
        if (this.#isOver()) return;
        pauseMs = this.#failed(error);
      }
      await delay(pauseMs, undefined, { signal: this.#signal }).catch(() => undefined);
    }
  }

  #isOver(): boolean {
    return this.#signal.aborted;
  }

  async #look(): Promise<void> {
    const { clock } = this.#tools;
    // 1. What is there, and is it good?
    const trust = await readText(this.#settings.trustFile);
    const own = await this.#own();
    this.#enrolled = own !== undefined;
    if (own !== undefined) this.#first.resolve(undefined);
    const isTrusted = own !== undefined && (trust === undefined || isOfTrusted(own, trust));
    if (own !== undefined && isTrusted && clock() < renewalTime(own.certificate)) {
      // 2. Others' authorities come and go.
      if (trust !== undefined) await this.#takeTrust(own, trust);
      return;
    }
    // 3. Another certificate, from someone whom the trust file names, else whom we trusted before.
    const known = trust ?? own?.ca;
    if (known === undefined) {
      throw new GuardianError('agent.trust', `there is no ${this.#settings.trustFile} yet`, {
        hint: 'The control plane writes ConfigMap etcdguardian-trust when it starts: is it running?',
        retryable: true,
      });
    }
    const token = await readToken(this.#settings.tokenFile);
    const { url, node, credentialsDir } = this.#settings;
    const texts = await requestCertificate({ url, trust: known, token, node }, clock, this.#signal);
    await saveCredentials(credentialsDir, texts);
    this.#takenTrust = trust;
    const { certificate } = await this.credentials.current();
    const ends = certificate.validToDate.toISOString();
    this.#tools.log.write('info', 'enrolled', `a certificate for ${node} until ${ends}`, { ends });
    this.#first.resolve(undefined);
  }

  /** What is on disk, if it is this node's and its time hasn't ended. */
  async #own(): Promise<Credentials | undefined> {
    try {
      const credentials = await this.credentials.current();
      const { certificate, authorities } = credentials;
      const { cluster } = peerIdentity(certificate);
      requirePeer(peerIdentity(certificate), { cluster, roles: ['agent'], node: this.#settings.node });
      verifyCertificate(certificate, { authorities, now: this.#tools.clock(), usage: 'server' });
      return credentials;
    } catch {
      // Missing, of another node, damaged or over: each is answered by another certificate.
      return undefined;
    }
  }

  /** Only when the file has changed: kubelet may be behind what the control plane answered a moment ago. */
  async #takeTrust({ cert, key, ca }: Credentials, trust: string): Promise<void> {
    if (trust === this.#takenTrust) return;
    if (trust !== ca) {
      await saveCredentials(this.#settings.credentialsDir, { cert, key, ca: trust });
      await this.credentials.current();
      this.#tools.log.write('info', 'trust', 'other authorities are trusted from now on');
    }
    this.#takenTrust = trust;
  }

  #succeeded(): void {
    if (this.problem !== undefined) this.#tools.log.write('info', 'enrolment-again', 'enrolment works again');
    this.problem = undefined;
    this.#failures = 0;
  }

  /** Returns how long to wait. */
  #failed(error: unknown): number {
    const problem =
      error instanceof GuardianError
        ? error
        : new GuardianError('agent.enrolment', `enrolment failed: ${reasonOf(error)}`, { cause: error });
    if (errorText(problem) !== (this.problem && errorText(this.problem)))
      this.#tools.log.write('warning', 'not-enrolled', errorText(problem), errorFields(problem));
    this.problem = problem;
    this.#failures += 1;
    const retryMs = this.#tools.retryMs ?? RETRY_MS;
    const longestMs = this.#enrolled ? LONGEST_RETRY_MS : LONGEST_FIRST_RETRY_MS;
    const fullMs = Math.min(longestMs, retryMs * 2 ** Math.min(this.#failures - 1, 20));
    const random = this.#tools.random ?? Math.random;
    const asked = problem instanceof EnrolmentRefused ? (problem.retryAfterMs ?? 0) : 0;
    return Math.max(asked, fullMs * (0.5 + random() / 2));
  }
}

function isOfTrusted({ certificate }: Credentials, trust: string): boolean {
  return authoritiesOf(trust).authorities.some(
    (one) => certificate.checkIssued(one) && certificate.verify(one.publicKey),
  );
}

/** Undefined where there is no such file, or nothing in it yet. */
async function readText(file: string): Promise<string | undefined> {
  try {
    const text = await readFile(file, 'utf8');
    return text.trim() === '' ? undefined : text;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

async function readToken(file: string): Promise<string> {
  const token = (await readText(file))?.trim();
  if (token !== undefined) return token;
  throw new GuardianError('agent.enrolment-token', `there is no token in ${file}`, {
    hint: 'The pod must mount a projected service-account token with audience etcdguardian-enrolment there.',
    retryable: true,
  });
}
