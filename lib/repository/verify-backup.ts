import { GuardianError, hasCode } from '../guardian-error.ts';
import { checkBase } from './check-base.ts';
import { readContent, type ReadContentOptions, readStored } from './content.ts';
import { checkHighWaterMark } from './high-water.ts';
import { highWaterName, manifestName, MARKER, removalsFolder, timelineName } from './layout.ts';
import type { Manifest, StoredContent } from './manifest.ts';
import { checkMarker } from './marker.ts';
import { attachmentOfNode, nodeOfAttachment } from './node-files/attachment-of-node.ts';
import { damagedNodeFiles } from './node-files/node-files-errors.ts';
import { readNodeFiles } from './node-files/read-node-files.ts';
import { readManifest } from './read-backup.ts';
import { removalOf } from './removals.ts';
import type { BackupPlace, RepositorySettings, VerifyOptions, VerifyReport } from './repository.ts';
import { readTimeline } from './timelines.ts';
import type { VerifyProblem } from './verify-problem.ts';

/** See `Repository.verifyBackup`. */
export async function verifyBackup(
  settings: RepositorySettings,
  place: BackupPlace,
  options: VerifyOptions,
): Promise<VerifyReport> {
  const verification = new Verification(settings, place, options);
  await verification.documents();
  const manifest = await verification.manifest();
  if (manifest !== undefined) await verification.contents(manifest);
  return verification.report();
}

/** Goes through one backup, collecting what is wrong. */
class Verification {
  readonly #settings: RepositorySettings;
  readonly #place: BackupPlace;
  readonly #options: VerifyOptions;
  readonly #problems: VerifyProblem[] = [];
  readonly #warnings: VerifyProblem[] = [];
  #objects = 0;
  #storedBytes = 0;
  #plainBytes = 0;

  constructor(settings: RepositorySettings, place: BackupPlace, options: VerifyOptions) {
    this.#settings = settings;
    this.#place = place;
    this.#options = options;
  }

  /** What the backup stands on: the marker, its timeline, the marks of its removal. */
  async documents(): Promise<void> {
    const { signal } = this.#options;
    const { cluster, timeline, id } = this.#place;
    const settings = this.#settings;
    await this.#lookAt(MARKER, async () => {
      if (!(await checkMarker(settings, signal))) this.#warnMissing(MARKER);
    });
    const name = timelineName(cluster, timeline);
    await this.#lookAt(name, () => readTimeline(settings, cluster, timeline, signal), this.#warnMissing);
    await this.#lookAt(`${removalsFolder(cluster, timeline)}${id}/`, async () => {
      for (const problem of (await removalOf(settings, this.#place, signal)).problems) throw problem;
    });
  }

  /** Rejects with `store.not-found` when there is no such backup. */
  async manifest(): Promise<Manifest | undefined> {
    const { signal } = this.#options;
    const { cluster, timeline } = this.#place;
    const document = await this.#lookAt(
      manifestName(this.#place),
      () => readManifest(this.#settings, this.#place, signal),
      (_object, error) => {
        throw error;
      },
    );
    if (document === undefined) return undefined;
    const revision = document.value.snapshot.currentRevision;
    await this.#lookAt(
      highWaterName(cluster, timeline, revision),
      () => checkHighWaterMark(this.#settings, cluster, timeline, revision, signal),
      this.#warnMissing,
    );
    return document.value;
  }

  async contents(manifest: Manifest): Promise<void> {
    const { base, attachments } = manifest;
    const options = this.#reading([base, ...attachments]);
    if (this.#options.depth === 'stored') {
      for (const content of [base, ...attachments]) {
        await this.#lookAt(content.name, () => readToEnd(readStored(this.#settings, content, options)));
      }
      return;
    }
    await this.#lookAt(base.name, () =>
      this.#opening(base, options, () => this.#checkBase(manifest, options)),
    );
    for (const content of attachments) {
      await this.#lookAt(content.name, () =>
        this.#opening(content, options, () => this.#checkAttachment(content, options)),
      );
    }
  }

  report(): VerifyReport {
    const { cluster, timeline, id } = this.#place;
    return {
      ...{ cluster, timeline, id, depth: this.#options.depth, sound: this.#problems.length === 0 },
      ...{ problems: this.#problems, warnings: this.#warnings },
      ...{ objects: this.#objects, storedBytes: this.#storedBytes, plainBytes: this.#plainBytes },
    };
  }

  /** A damaged header can look as if it were sealed for others: a key is missing only where the stored bytes are right. */
  async #opening<Result>(
    content: StoredContent,
    options: ReadContentOptions,
    read: () => Promise<Result>,
  ): Promise<Result> {
    try {
      return await read();
    } catch (error) {
      if (hasCode(error, 'encryption.key-missing'))
        await readToEnd(readStored(this.#settings, content, options));
      throw error;
    }
  }

  async #checkBase(manifest: Manifest, options: ReadContentOptions): Promise<void> {
    const object = manifest.base.name;
    const plain = readContent(this.#settings, this.#place, manifest.base, options);
    const { problems, warnings } = await checkBase(plain, manifest);
    this.#plainBytes = manifest.base.plainSize;
    this.#problems.push(...problems.map(({ code, message }) => ({ code, message, object })));
    this.#warnings.push(...warnings.map(({ code, message }) => ({ code, message, object })));
  }

  /** A node's files are read as a restore reads them, up to where it would lay them out. */
  async #checkAttachment(content: StoredContent, options: ReadContentOptions): Promise<void> {
    const plain = readContent(this.#settings, this.#place, content, options);
    const node = nodeOfAttachment(content);
    if (node === undefined) {
      await readToEnd(plain);
      return;
    }
    const { node: itself } = await readNodeFiles(plain);
    if (attachmentOfNode(itself) !== `node.${node}.tar`)
      throw damagedNodeFiles(`they are of node ${itself}, and named as those of ${node}`);
  }

  #reading(contents: readonly StoredContent[]): ReadContentOptions {
    const { signal, onProgress } = this.#options;
    const total = contents.reduce((sum, { storedSize }) => sum + storedSize, 0);
    const onStored = (length: number): void => {
      this.#storedBytes += length;
      onProgress?.(this.#storedBytes, total);
    };
    return { signal, onStored };
  }

  /**
   * What is wrong with an object goes to the report. What is no fault of the backup is thrown: a store that can't be
   * read at the moment, a key that wasn't given.
   */
  async #lookAt<Result>(
    object: string,
    look: () => Promise<Result>,
    whenMissing?: (object: string, error: GuardianError) => void,
  ): Promise<Result | undefined> {
    try {
      const result = await look();
      this.#objects++;
      return result;
    } catch (error) {
      this.#options.signal?.throwIfAborted();
      if (!(error instanceof GuardianError) || error.retryable || error.code === 'encryption.key-missing')
        throw error;
      if (error.code === 'store.not-found' && whenMissing !== undefined) whenMissing(object, error);
      else this.#problems.push({ code: error.code, message: error.message, object, hint: error.hint });
      return undefined;
    }
  }

  readonly #warnMissing = (object: string): void => {
    const message = `${object} is missing; the backup can be used without it, but nothing of ours deletes it`;
    this.#warnings.push({ code: 'repository.missing', message, object });
  };
}

async function readToEnd(chunks: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0;
  for await (const chunk of chunks) bytes += chunk.length;
  return bytes;
}
