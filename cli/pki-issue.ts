import { createPublicKey } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { Command } from 'commander';
import { auditLog } from '../lib/audit-log.ts';
import { GuardianError } from '../lib/guardian-error.ts';
import { LogLines } from '../lib/log-lines.ts';
import { trustPem } from '../lib/pki/authority-bundle.ts';
import { saveCredentials } from '../lib/pki/credential-folder.ts';
import { identityUri, ROLES } from '../lib/pki/identity.ts';
import { issueCertificate } from '../lib/pki/issue-certificate.ts';
import { createKey, privateKeyPem } from '../lib/pki/key-pair.ts';
import { type AuthorityOptions, findAuthority, withAuthorityOptions } from './authority-source.ts';
import { parseDuration } from './option-values.ts';
import { fields, print } from './output.ts';
import { reporting, withReportOptions, type ReportOptions } from './report-options.ts';
import type { Session } from './session.ts';
import { userName } from './user-name.ts';

interface IssueOptions extends AuthorityOptions, ReportOptions {
  readonly holder: string;
  readonly out: string;
  readonly life: string;
  readonly overwrite?: boolean;
}

export function pkiIssueCommand(session: Session): Command {
  const command = new Command('issue')
    .summary('a break-glass identity, with which a person may call agents when no API server runs')
    .description(
      `Issues an identity for a person, from the authority in the cluster or from a
saved copy of its Secret. Whoever holds it may have agents back up, restore and
roll back: keep it in a safe, and give it a short life. It can't be taken back
before it ends, except by rotating the authority. What is issued is written to
stderr as an audit record: keep that.`,
    )
    .requiredOption('--holder <name>', 'who will hold it: lower-case letters, digits, "-" and "."')
    .requiredOption('--out <folder>', 'a new folder for tls.crt, tls.key and ca.crt, for its owner only')
    .option('--life <duration>', 'how long it is good, up to 365d', '30d')
    .option('--overwrite', 'replace the identity that is in the folder');
  withAuthorityOptions(command);
  return withReportOptions(command).action(async (options: IssueOptions) => {
    await issue(session, options);
  });
}

async function issue(session: Session, options: IssueOptions): Promise<void> {
  const { terminal, clock } = session;
  const { holder, out } = options;
  const lifeMs = parseDuration(options.life, '--life', 60_000);
  if (lifeMs > ROLES['break-glass'].lifeMs)
    throw new GuardianError('usage.life', `--life: ${options.life} is more than 365d`, {
      hint: 'Issue another one when its time has come.',
    });
  if (options.overwrite !== true && !(await isEmpty(out)))
    throw new GuardianError('usage.out', `${out} is not empty`, {
      hint: 'Name a new folder, or replace what is there with --overwrite.',
    });

  const { bundle, source } = await findAuthority(session, options);
  const { cluster } = bundle.signer.scope;
  const identity = { cluster, role: 'break-glass', holder } as const;
  const key = await createKey();
  const certificate = issueCertificate(bundle.signer, {
    ...{ identity, publicKey: createPublicKey(key), now: clock(), lifeMs },
  });
  const audit = auditLog(new LogLines(terminal.stderr, clock, 'json'));
  await saveCredentials(out, {
    cert: certificate.toString(),
    key: privateKeyPem(key),
    ca: trustPem(bundle),
  });
  audit({
    who: { username: userName() },
    what: 'issue',
    resource: { kind: 'BreakGlassIdentity', name: holder },
    scope: 'cluster',
    result: 'succeeded',
    message: `a break-glass identity for ${holder} was issued by ${userName()} from ${source}, good until ${certificate.validToDate.toISOString()}, serial ${certificate.serialNumber}`,
    operation: certificate.serialNumber,
  });
  const value = {
    identity: identityUri(identity),
    cluster,
    validUntil: certificate.validToDate,
    serial: certificate.serialNumber,
    folder: out,
  };
  print(
    terminal,
    reporting(session, options).format,
    value,
    () =>
      fields([
        ['identity', value.identity],
        ['cluster', cluster],
        ['good until', value.validUntil.toISOString()],
        ['serial', value.serial],
        ['files', `${out}/tls.crt, tls.key, ca.crt`],
      ]) +
      '\nWhoever has these files may restore the cluster: into the safe with them, and off this machine.\n' +
      `It is tried with: kubectl etcdguardian doctor --credentials ${out}\n`,
  );
}

async function isEmpty(folder: string): Promise<boolean> {
  try {
    return (await readdir(folder)).length === 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw new GuardianError('usage.out', `${folder} can't be used: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
