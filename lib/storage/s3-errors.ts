import { GuardianError, type GuardianErrorDetails, reasonOf } from '../guardian-error.ts';

interface Meaning {
  readonly code: string;
  readonly retryable?: boolean;
  readonly hint?: string;
}

/** What an error repeats of an answer: its words too, or only what could be S3's codes. */
export type Telling = 'words' | 'codes';

/** Turns what the SDK threw into the contract's codes; `what` names the thing, e.g. `reading object a in s3://b`. */
export function s3Error(error: unknown, what: string, telling: Telling = 'words'): GuardianError {
  if (error instanceof GuardianError) return error;
  const answer = telling === 'words' ? answerOf(error) : onlyCodes(answerOf(error));
  const meaning =
    meaningOfCode(answer, reasonOf(error)) ?? meaningOfStatus(answer) ?? meaningOfNetwork(answer, error);
  const details: GuardianErrorDetails = {
    ...(telling === 'words' ? { cause: error } : {}),
    retryable: meaning.retryable ?? false,
    ...(meaning.hint === undefined ? {} : { hint: meaning.hint }),
  };
  return new GuardianError(
    meaning.code,
    `${what}: ${summary(answer, telling === 'words' ? error : answer.code)}`,
    details,
  );
}

/** What is known of a failed request: S3's code or Node's errno, the HTTP status, some headers. */
interface Answer {
  readonly code: string;
  readonly status: number | undefined;
  readonly bucketRegion: string | undefined;
  readonly clockCorrected: boolean;
}

function meaningOfCode({ code, bucketRegion, clockCorrected }: Answer, message: string): Meaning | undefined {
  if (/x-amz-checksum|x-amz-sdk-checksum/i.test(message)) {
    return { code: 'store.unsupported', hint: "The server doesn't know this checksum: set checksum=md5." };
  }
  switch (code) {
    case 'NoSuchKey':
    case 'NotFound':
      return { code: 'store.not-found' };
    case 'NoSuchBucket':
      return { code: 'store.missing', hint: 'Create the bucket, or correct its name or the endpoint.' };
    case 'NoSuchUpload':
    case 'InvalidPart':
      return {
        code: 'store.upload-lost',
        hint: 'A sweep, a lifecycle rule or someone else removed the unfinished upload; run it again.',
      };
    case 'PreconditionFailed':
      return { code: 'store.exists' };
    case 'AccessDenied':
    case 'AllAccessDisabled':
    case 'AccountProblem':
      return denied(
        'Allow s3:PutObject, GetObject, DeleteObject, ListBucket, AbortMultipartUpload and ' +
          'ListBucketMultipartUploads for this prefix. Without ListBucket, S3 answers this for a missing object too.',
      );
    case 'InvalidAccessKeyId':
    case 'XAdminUserNotFound':
    case 'SignatureDoesNotMatch':
      return denied('Check the access key, its secret, and that both belong to this endpoint.');
    case 'ExpiredToken':
    case 'InvalidToken':
    case 'TokenRefreshRequired':
      return denied('The session token has expired or is wrong; renew the credentials.');
    case 'CredentialsProviderError':
    case 'TokenProviderError':
    case 'ProviderError':
      return denied(
        'Give credentials: in the settings, AWS_* variables, ~/.aws, or a role of this workload.',
      );
    case 'RequestTimeTooSkewed':
      return {
        ...denied("Set this machine's clock: S3 refuses requests that are 15 minutes off."),
        retryable: clockCorrected,
      };
    case 'PermanentRedirect':
    case 'TemporaryRedirect':
    case 'Redirect':
    case 'AuthorizationHeaderMalformed':
    case 'IllegalLocationConstraintException':
      return elsewhere(bucketRegion);
    case 'InvalidBucketName':
      return { code: 'store.settings', hint: 'Bucket names have 3 to 63 of a-z 0-9 . -.' };
    case 'NotImplemented':
    case 'ObjectLockConfigurationNotFoundError':
    case 'InvalidBucketObjectLockConfiguration':
      return {
        code: 'store.unsupported',
        hint: 'The server lacks conditional writes, multipart uploads or Object Lock.',
      };
    case 'InvalidRequest':
      return /object.?lock/i.test(message)
        ? { code: 'store.unsupported', hint: 'Create the bucket with Object Lock, or set no retention.' }
        : undefined;
    case 'QuotaExceeded':
    case 'ServiceQuotaExceeded':
    case 'InsufficientStorage':
    case 'StorageFull':
    case 'XMinioStorageFull':
    case 'XMinioAdminBucketQuotaExceeded':
    case 'EntityTooLarge':
      return { code: 'store.full', hint: 'Raise the quota or add storage; nothing half-written is visible.' };
    case 'BadDigest':
    case 'InvalidDigest':
    case 'XAmzContentChecksumMismatch':
    case 'XAmzContentSHA256Mismatch':
      return {
        code: 'store.corrupt',
        retryable: true,
        hint: 'Bytes were changed on their way to the store.',
      };
    case 'SlowDown':
    case 'ServiceUnavailable':
    case 'InternalError':
    case 'RequestTimeout':
    case 'Throttling':
    case 'ThrottlingException':
    case 'TooManyRequests':
    case 'TooManyRequestsException':
    case 'RequestLimitExceeded':
    case 'BandwidthLimitExceeded':
    case 'IncompleteBody':
    case 'OperationAborted':
    case 'ConditionalRequestConflict':
      return { code: 'store.busy', retryable: true };
    default:
      return undefined;
  }
}

function meaningOfStatus({ status, bucketRegion }: Answer): Meaning | undefined {
  switch (status) {
    case undefined:
      return undefined;
    case 401:
    case 403:
      return denied('Check the credentials and what they may do with this bucket and prefix.');
    case 404:
      return { code: 'store.settings', hint: NOT_S3 };
    case 408:
    case 409:
    case 425:
    case 429:
      return { code: 'store.busy', retryable: true };
    case 412:
      return { code: 'store.exists' };
    case 501:
      return { code: 'store.unsupported' };
    case 507:
      return { code: 'store.full', hint: 'Raise the quota or add storage; nothing half-written is visible.' };
    default:
      if (status >= 500) return { code: 'store.busy', retryable: true };
      if (status >= 300 && status < 400) return elsewhere(bucketRegion);
      if (status >= 400) return { code: 'store.failed' };
      // A success whose body was cut or isn't S3's: something in between answers.
      return { code: 'store.unreachable', retryable: true, hint: NOT_S3 };
  }
}

const NOT_S3 = 'What answers there may not be an S3 server: check the endpoint.';

const UNTRUSTED = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'INVALID_CA',
]);

function meaningOfNetwork({ code }: Answer, error: unknown): Meaning {
  const unreachable = { code: 'store.unreachable' };
  if (UNTRUSTED.has(code)) {
    return {
      ...unreachable,
      hint: "Give the CA that signed the server's certificate (ca), or check the endpoint.",
    };
  }
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') {
    return { ...unreachable, hint: "Renew the server's certificate, or set this machine's clock." };
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return {
      ...unreachable,
      hint: 'The certificate is for another name: check the endpoint, or use path style.',
    };
  }
  if (code === 'EPROTO' || code.startsWith('ERR_SSL') || code.startsWith('ERR_TLS')) {
    return {
      ...unreachable,
      hint: 'Does the server speak TLS at this port? Check http or https in the endpoint.',
    };
  }
  if (code.startsWith('HPE_')) {
    return {
      ...unreachable,
      hint: "What answers there isn't plain HTTP: check http or https in the endpoint.",
    };
  }
  if (code === 'ENOTFOUND') {
    const hint =
      "The name isn't known: check the endpoint; with virtual-host style the bucket is part of the name.";
    return { ...unreachable, retryable: true, hint };
  }
  if (NETWORK.has(code) || /socket hang up|aborted|premature close/i.test(reasonOf(error))) {
    return { ...unreachable, retryable: true, hint: 'Check the endpoint and the network to it.' };
  }
  if (/region is missing/i.test(reasonOf(error))) {
    return { code: 'store.settings', hint: 'Set region, or endpoint for a server other than Amazon.' };
  }
  return { code: 'store.failed' };
}

const NETWORK = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'EAI_AGAIN',
  'ERR_STREAM_PREMATURE_CLOSE',
  'TimeoutError',
]);

function elsewhere(bucketRegion: string | undefined): Meaning {
  const hint =
    bucketRegion === undefined
      ? 'The bucket lies in another region or behind another endpoint: set region and endpoint.'
      : `The bucket lies in region ${bucketRegion}: set region=${bucketRegion}.`;
  return { code: 'store.settings', hint };
}

function denied(hint: string): Meaning {
  return { code: 'store.denied', hint };
}

/** Without the SDK's noise; an answer without a body has no message but its status. */
function summary({ code, status }: Answer, error: unknown): string {
  const reason = reasonOf(error)
    .replace(/^@smithy\/[\w-]+ - /, '')
    .replace(/\n[^]*$/, '');
  const told = reason === '' || reason === 'UnknownError' || reason === code ? code : `${reason} (${code})`;
  return status === undefined ? told : `${told}, HTTP status ${status}`;
}

/** Names and numbers as S3 has them; a server that isn't one could have put anything there. */
function onlyCodes(answer: Answer): Answer {
  const { code, bucketRegion } = answer;
  return {
    ...answer,
    code: /^[A-Za-z_]{1,64}$/.test(code) ? code : 'unknown',
    bucketRegion: /^[a-z]{2}(-[a-z]{1,12}){1,3}-\d$/.test(bucketRegion ?? '') ? bucketRegion : undefined,
  };
}

function answerOf(error: unknown): Answer {
  const metadata = field(error, '$metadata');
  const response = field(error, '$response');
  const errno = field(error, 'code');
  const status = [field(metadata, 'httpStatusCode'), field(response, 'statusCode')].find(isNumber);
  const region = field(field(response, 'headers'), 'x-amz-bucket-region') ?? field(error, 'Region');
  return {
    code: typeof errno === 'string' ? errno : error instanceof Error ? error.name : 'unknown',
    status,
    bucketRegion: typeof region === 'string' ? region : undefined,
    clockCorrected: field(metadata, 'clockSkewCorrected') === true,
  };
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number';
}
