import type { S3ClientConfig } from '@aws-sdk/client-s3';
import type { Clock } from '../clock.ts';
import type { S3Credentials } from './s3-settings.ts';

type CredentialsProvider = Extract<S3ClientConfig['credentials'], (...input: never[]) => unknown>;
type Identity = Awaited<ReturnType<CredentialsProvider>>;

/**
 * The SDK asks again five minutes before credentials expire, and never when they don't say so: keys in a file or a
 * mounted Secret would be kept for ever. With this lifetime they are read again every five minutes.
 */
const REREAD_AFTER_MS = 10 * 60_000;

/** What the SDK asks for credentials. Nothing is read before the first request. */
export function credentialsProvider(credentials: S3Credentials, clock: Clock): CredentialsProvider {
  if (credentials.kind === 'static') {
    const { accessKeyId, secretAccessKey, sessionToken } = credentials;
    const identity = {
      accessKeyId,
      secretAccessKey,
      ...(sessionToken === undefined ? {} : { sessionToken }),
    };
    return () => Promise.resolve(identity);
  }
  return async (properties): Promise<Identity> => {
    const source = await sourceOf(credentials);
    const identity = await source(properties);
    const expiration = identity.expiration ?? new Date(clock().getTime() + REREAD_AFTER_MS);
    return { ...identity, expiration };
  };
}

async function sourceOf(
  credentials: Exclude<S3Credentials, { kind: 'static' }>,
): Promise<CredentialsProvider> {
  const { fromIni, fromNodeProviderChain, fromTokenFile } = await import('@aws-sdk/credential-providers');
  switch (credentials.kind) {
    case 'file': {
      const { path, profile } = credentials;
      const files = { filepath: path, configFilepath: path, ignoreCache: true };
      return fromIni(profile === undefined ? files : { ...files, profile });
    }
    case 'web-identity': {
      const { roleArn, tokenFile, sessionName, stsEndpoint } = credentials;
      return fromTokenFile({
        roleArn,
        webIdentityTokenFile: tokenFile,
        roleSessionName: sessionName ?? 'etcdguardian',
        ...(stsEndpoint === undefined ? {} : { clientConfig: { endpoint: stsEndpoint } }),
      });
    }
    case 'environment':
      return fromNodeProviderChain({ ignoreCache: true });
  }
}
