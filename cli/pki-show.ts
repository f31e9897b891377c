import type { X509Certificate } from 'node:crypto';
import { Command } from 'commander';
import { trustedAuthorities } from '../lib/pki/authority-bundle.ts';
import { credentialFolder } from '../lib/pki/credential-folder.ts';
import { describeIdentity, identityUri } from '../lib/pki/identity.ts';
import { peerIdentity } from '../lib/pki/peer-identity.ts';
import { type AuthorityOptions, findAuthority, withAuthorityOptions } from './authority-source.ts';
import { EXIT_CODES } from './exit-code.ts';
import { fields, print } from './output.ts';
import { reporting, withReportOptions, type ReportOptions } from './report-options.ts';
import type { Session } from './session.ts';

interface ShowOptions extends AuthorityOptions, ReportOptions {}

export function pkiShowCommand(session: Session): Command {
  const command = new Command('show')
    .summary('whose a folder of credentials is and how long it is good, or which authorities a cluster has')
    .description('Shows no private key. Ends with 5 when the identity has expired.')
    .argument('[folder]', 'tls.crt, tls.key and ca.crt, as "pki issue" and agents have them');
  withAuthorityOptions(command);
  return withReportOptions(command).action(async (folder: string | undefined, options: ShowOptions) => {
    if (folder === undefined) await showAuthority(session, options);
    else await showIdentity(session, folder, options);
  });
}

async function showIdentity(session: Session, folder: string, options: ShowOptions): Promise<void> {
  const { terminal, clock } = session;
  const { certificate, authorities } = await credentialFolder(folder).current();
  const identity = peerIdentity(certificate);
  const expired = certificate.validToDate <= clock();
  if (expired) session.exitCode = EXIT_CODES.refused;
  const value = {
    ...{ identity: identityUri(identity), ...lifeOf(certificate), expired },
    authorities: authorities.map(authorityValue),
  };
  print(terminal, reporting(session, options).format, value, () =>
    fields([
      ['identity', value.identity],
      ['which is', describeIdentity(identity)],
      [expired ? 'EXPIRED' : 'good until', value.validUntil.toISOString()],
      ['serial', value.serial],
      ['trusts', value.authorities.map(({ name }) => name).join(', ')],
    ]),
  );
}

async function showAuthority(session: Session, options: ShowOptions): Promise<void> {
  const { terminal } = session;
  const { bundle, source } = await findAuthority(session, options);
  const { signer, next, retired } = bundle;
  const value = {
    source,
    scope: signer.scope,
    signer: authorityValue(signer.certificate),
    next: next === undefined ? null : authorityValue(next.authority.certificate),
    retired: retired.map(({ certificate, trustedUntil }) => ({
      ...authorityValue(certificate),
      trustedUntil,
    })),
  };
  print(terminal, reporting(session, options).format, value, () =>
    fields([
      ['authority', value.signer.name],
      ['of', `cluster ${signer.scope.cluster}, namespace ${signer.scope.namespace}`],
      ['from', source],
      ['good until', value.signer.validUntil.toISOString()],
      ['fingerprint', value.signer.fingerprint],
      ['next', value.next?.name],
      ['retired', retired.length === 0 ? undefined : value.retired.map(({ name }) => name).join(', ')],
      ['trusted in all', String(trustedAuthorities(bundle).length)],
    ]),
  );
}

function authorityValue(certificate: X509Certificate) {
  return {
    name: /^CN=(.*)$/m.exec(certificate.subject)?.[1] ?? certificate.subject,
    fingerprint: certificate.fingerprint256,
    ...lifeOf(certificate),
  };
}

function lifeOf({ validFromDate, validToDate, serialNumber }: X509Certificate) {
  return { validFrom: validFromDate, validUntil: validToDate, serial: serialNumber };
}
