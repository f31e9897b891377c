import { hasCode } from '../guardian-error.ts';
import type { S3Connection } from './s3-client.ts';

/**
 * Aborts the multipart uploads of keys that start with `prefix` and were begun, by the server's clock, before
 * `olderThan`; resolves to how many there were.
 */
export async function sweepS3Uploads(
  connection: S3Connection,
  bucket: string,
  prefix: string,
  olderThan: Date,
  signal: AbortSignal | undefined,
): Promise<number> {
  const what = `sweeping unfinished uploads of s3://${bucket}/${prefix}`;
  let swept = 0;
  for (let page: PageStart | undefined = {}; page !== undefined;) {
    const from: PageStart = page;
    const answer = await connection.call(
      what,
      (s3, options) => s3.listMultipartUploads({ Bucket: bucket, Prefix: prefix, ...from }, options),
      { signal },
    );
    for (const { Key, UploadId, Initiated } of answer.Uploads ?? []) {
      if (Key === undefined || UploadId === undefined || Initiated === undefined) continue;
      if (!Key.startsWith(prefix) || Initiated >= olderThan) continue;
      try {
        await connection.call(
          what,
          (s3, options) => s3.abortMultipartUpload({ Bucket: bucket, Key, UploadId }, options),
          { signal },
        );
        swept += 1;
      } catch (error) {
        // Ended by someone else since it was listed.
        if (!hasCode(error, 'store.upload-lost') && !hasCode(error, 'store.not-found')) throw error;
      }
    }
    const { IsTruncated, NextKeyMarker, NextUploadIdMarker } = answer;
    page =
      IsTruncated === true && NextKeyMarker !== undefined && NextUploadIdMarker !== undefined
        ? { KeyMarker: NextKeyMarker, UploadIdMarker: NextUploadIdMarker }
        : undefined;
  }
  return swept;
}

interface PageStart {
  KeyMarker?: string;
  UploadIdMarker?: string;
}
