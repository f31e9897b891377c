import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { GuardianError, reasonOf } from '../../guardian-error.ts';
import type { TlsSettings } from './etcd-settings.ts';

/** What TLS connections are made with. The same object for as long as nothing changes. */
export interface TlsMaterial {
  /** PEM; undefined: the system's authorities. */
  readonly ca: string | undefined;
  readonly identity: Identity | undefined;
}

/** A client certificate and the private key that belongs to it. */
export interface Identity {
  /** PEM, with its chain. */
  readonly cert: string;
  readonly key: string;
  /** The chain's first certificate. */
  readonly certificate: X509Certificate;
  /** Where it came from, for messages. */
  readonly source: string;
}

export interface TlsMaterialSource {
  /**
   * Looks at the files again (symbolic links followed, as Kubernetes swaps Secrets by one) and resolves to what is
   * good to use: a certificate and a key are taken only as a pair that fits. While the files are missing or
   * half-written, what was good before stays. Rejects with `etcd.certificate` as long as there never was anything good.
   */
  current(): Promise<TlsMaterial>;
  /** Why the files as they are now weren't taken; undefined when they were. */
  readonly complaint: string | undefined;
}

/** Rejects with `etcd.settings` when the settings contradict each other. Reads nothing yet. */
export function tlsMaterialSource(settings: TlsSettings): TlsMaterialSource {
  const ca = text('ca', settings.ca, settings.caFile);
  const cert = text('cert', settings.cert, settings.certFile);
  const key = text('key', settings.key, settings.keyFile);
  if ((cert === undefined) !== (key === undefined)) {
    const [given, missing] =
      cert === undefined ? ['private key', 'certificate'] : ['certificate', 'private key'];
    throw new GuardianError('etcd.settings', `a client ${given} is given without its ${missing}`, {
      hint: 'give both, or neither',
    });
  }
  const authorities = ca === undefined ? undefined : follow([ca], parseAuthorities);
  const identity = cert === undefined || key === undefined ? undefined : follow([cert, key], parseIdentity);

  let material: TlsMaterial | undefined;
  return {
    async current() {
      const fresh = { ca: await authorities?.current(), identity: await identity?.current() };
      if (material?.ca !== fresh.ca || material?.identity !== fresh.identity) material = fresh;
      // With nothing to follow, the first call still has to make the object.
      material ??= fresh;
      return material;
    },
    get complaint() {
      return authorities?.complaint ?? identity?.complaint;
    },
  };
}

/** A PEM text that is given, or stands in a file. */
interface PemText {
  readonly name: string;
  /** Changes whenever the file may have; the file is not read for it. */
  version(): Promise<string>;
  read(): Promise<string>;
}

function text(what: 'ca' | 'cert' | 'key', pem?: string, file?: string): PemText | undefined {
  if (pem !== undefined && file !== undefined) {
    throw new GuardianError('etcd.settings', `both ${what} and ${what}File are given`, {
      hint: 'give one of them',
    });
  }
  if (pem !== undefined) {
    return {
      name: `the given ${what}`,
      version: () => Promise.resolve(''),
      read: () => Promise.resolve(pem),
    };
  }
  if (file === undefined) return undefined;
  return {
    name: file,
    async version() {
      const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
      return [dev, ino, size, mtimeNs, ctimeNs].join(':');
    },
    read: () => readFile(file, 'utf8'),
  };
}

interface Followed<T> {
  current(): Promise<T>;
  readonly complaint: string | undefined;
}

/** Keeps the newest good value that `texts`, read together, gave. */
function follow<T>(texts: readonly PemText[], parse: (...pems: string[]) => T): Followed<T> {
  const names = texts.map((each) => each.name).join(' and ');
  let good: { readonly value: T; readonly versions: string } | undefined;
  let complaint: string | undefined;

  const versions = async (): Promise<string> =>
    (await Promise.all(texts.map((each) => each.version()))).join(' ');
  return {
    async current() {
      try {
        const before = await versions();
        if (before === good?.versions) {
          complaint = undefined;
          return good.value;
        }
        const value = parse(...(await Promise.all(texts.map((each) => each.read()))), names);
        if ((await versions()) !== before) throw new Error('they change while being read');
        // Of several looks at the same files the first one's value is everyone's: another would mean other connections.
        if (good?.versions !== before) good = { value, versions: before };
        complaint = undefined;
        return good.value;
      } catch (error) {
        complaint = `${names}: ${reasonOf(error)}`;
        if (good !== undefined) return good.value;
        throw new GuardianError('etcd.certificate', `can't be used for TLS: ${complaint}`, {
          cause: error,
          hint: 'check the path, its permissions, and that it holds PEM',
        });
      }
    },
    get complaint() {
      return complaint;
    },
  };
}

function parseAuthorities(pem: string): string {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw new Error('holds no PEM certificate');
  for (const block of blocks) new X509Certificate(block);
  return pem;
}

function parseIdentity(cert: string, key: string, source: string): Identity {
  const certificate = new X509Certificate(cert);
  if (!certificate.checkPrivateKey(parsePrivateKey(key))) {
    throw new Error('the private key does not belong to the certificate');
  }
  return { cert, key, certificate, source };
}

function parsePrivateKey(pem: string): ReturnType<typeof createPrivateKey> {
  // PKCS #8 says it in its first line, the older forms in a header.
  if (pem.includes('ENCRYPTED'))
    throw new Error('the private key is encrypted, and there is no passphrase for it');
  try {
    return createPrivateKey(pem);
  } catch (error) {
    throw new Error(`not a private key: ${reasonOf(error)}`, { cause: error });
  }
}
