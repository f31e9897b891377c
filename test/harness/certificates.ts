import { generateKeyPair, randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import { writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import forge from 'node-forge';
import { temporaryFolder, type TemporaryFolder } from './temporary-folder.ts';

/** A certificate and its key, as PEM and as files (which go when the authority does). */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
  readonly certificateFile: string;
  readonly keyFile: string;
}

export interface IssueOptions {
  /** What etcd takes for the user's name when it trusts client certificates. Default `localhost`. */
  readonly commonName?: string;
  readonly organization?: string;
  /** Names and addresses it is valid for. Default `localhost`, `127.0.0.1` and `::1`. */
  readonly hosts?: readonly string[];
  /** Default both: etcd's gateway uses the server's certificate as a client's too. */
  readonly uses?: readonly ('server' | 'client')[];
  /** Default yesterday to tomorrow. */
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  /** Valid until an hour ago. */
  readonly expired?: boolean;
}

/** A certificate authority of a test. Two of them don't trust each other. */
export interface Authority extends Certificate, AsyncDisposable {
  issue(options?: IssueOptions): Promise<Certificate>;
}

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

export async function createAuthority(name = 'test authority'): Promise<Authority> {
  const folder = await temporaryFolder();
  const keys = await newKeys();
  const subject = [{ name: 'commonName', value: name }];
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = keys.public;
  certificate.serialNumber = newSerial();
  certificate.validity = {
    notBefore: new Date(Date.now() - 2 * DAY_MS),
    notAfter: new Date(Date.now() + 2 * DAY_MS),
  };
  certificate.setSubject(subject);
  certificate.setIssuer(subject);
  certificate.setExtensions([
    { name: 'basicConstraints', cA: true, critical: true },
    { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    { name: 'subjectKeyIdentifier' },
  ]);
  certificate.sign(keys.private, forge.md.sha256.create());

  let issued = 0;
  return {
    ...(await save(folder, 'authority', certificate, keys.pem)),
    async issue(options = {}) {
      const leafKeys = await newKeys();
      const leaf = makeLeaf(certificate, leafKeys.public, options);
      leaf.sign(keys.private, forge.md.sha256.create());
      issued += 1;
      return save(folder, `leaf-${issued}`, leaf, leafKeys.pem);
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

function makeLeaf(
  authority: forge.pki.Certificate,
  publicKey: forge.pki.rsa.PublicKey,
  options: IssueOptions,
): forge.pki.Certificate {
  const { commonName = 'localhost', organization, hosts = ['localhost', '127.0.0.1', '::1'] } = options;
  const uses = options.uses ?? ['server', 'client'];
  const notAfter = options.notAfter ?? new Date(Date.now() + (options.expired === true ? -HOUR_MS : DAY_MS));
  const leaf = forge.pki.createCertificate();
  leaf.publicKey = publicKey;
  leaf.serialNumber = newSerial();
  leaf.validity = { notBefore: options.notBefore ?? new Date(Date.now() - DAY_MS), notAfter };
  leaf.setIssuer(authority.subject.attributes);
  leaf.setSubject([
    { name: 'commonName', value: commonName },
    ...(organization === undefined ? [] : [{ name: 'organizationName', value: organization }]),
  ]);
  leaf.setExtensions([
    { name: 'basicConstraints', cA: false, critical: true },
    { name: 'keyUsage', digitalSignature: true, keyEncipherment: true, critical: true },
    { name: 'extKeyUsage', serverAuth: uses.includes('server'), clientAuth: uses.includes('client') },
    { name: 'subjectAltName', altNames: hosts.map(alternativeName) },
  ]);
  return leaf;
}

/** RFC 5280's GeneralName: 7 is an address, 2 a DNS name. */
function alternativeName(host: string): { type: number; ip?: string; value?: string } {
  return isIP(host) === 0 ? { type: 2, value: host } : { type: 7, ip: host };
}

/** RSA, since node-forge can't read EC certificates; made by node:crypto, which is many times faster. */
async function newKeys(): Promise<{
  public: forge.pki.rsa.PublicKey;
  private: forge.pki.rsa.PrivateKey;
  pem: string;
}> {
  const pair = await promisify(generateKeyPair)('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return {
    public: forge.pki.publicKeyFromPem(pair.publicKey),
    private: forge.pki.privateKeyFromPem(pair.privateKey),
    pem: pair.privateKey,
  };
}

/** Positive, and never the same twice: TLS stacks remember (issuer, serial). */
function newSerial(): string {
  return `01${randomBytes(15).toString('hex')}`;
}

async function save(
  folder: TemporaryFolder,
  name: string,
  certificate: forge.pki.Certificate,
  key: string,
): Promise<Certificate> {
  const pem = forge.pki.certificateToPem(certificate);
  const files = { certificateFile: folder.join(`${name}.pem`), keyFile: folder.join(`${name}-key.pem`) };
  await writeFile(files.certificateFile, pem);
  await writeFile(files.keyFile, key, { mode: 0o600 });
  return { certificate: pem, key, ...files };
}
