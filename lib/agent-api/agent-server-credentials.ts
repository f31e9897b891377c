import { ServerCredentials } from '@grpc/grpc-js';
import type { CredentialSource } from '../pki/credential-folder.ts';
import type { Credentials } from '../pki/credentials.ts';
import { serverTls } from '../pki/mutual-tls.ts';

/** Looks so often whether the files of the certificate changed; both old and new are good for days. */
const RELOAD_MS = 10_000;

/** TLS for new connections by credentials that may change: certificate, key and authorities always of one moment. */
export class AgentServerCredentials extends ServerCredentials {
  private readonly timer: NodeJS.Timeout;

  constructor(first: Credentials, source: CredentialSource) {
    super(serverTls(first), serverTls(first));
    let used = first;
    const reload = async (): Promise<void> => {
      const current = await source.current();
      if (current === used) return;
      used = current;
      this.updateSecureContextOptions(serverTls(current));
    };
    this.timer = setInterval(() => {
      // A source that was good once keeps what was good; its complaint is told elsewhere.
      reload().catch(() => undefined);
    }, RELOAD_MS).unref();
  }

  stop(): void {
    clearInterval(this.timer);
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}
