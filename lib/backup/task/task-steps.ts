import { reasonOf } from '../../guardian-error.ts';
import type { CatchUpEvent } from '../capture/catch-up.ts';
import type { BackupEvent } from '../full-backup.ts';

/** What a task does now; steps as in EtcdBackup's `status.step`. */
export interface TaskProgress {
  readonly step: 'Preparing' | 'Snapshotting' | 'Uploading' | 'ValidatingSnapshot';
  readonly message: string;
  readonly doneBytes: number;
  /** About; 0: not known. */
  readonly totalBytes: number;
}

/** Makes steps, which only go forward within an attempt, of what happens. */
export class TaskSteps {
  private readonly tell: (progress: TaskProgress) => void;
  private last: TaskProgress = { step: 'Preparing', message: '', doneBytes: 0, totalBytes: 0 };

  constructor(tell: (progress: TaskProgress) => void) {
    this.tell = tell;
  }

  preparing(message: string): void {
    this.next({ step: 'Preparing', message, doneBytes: 0, totalBytes: 0 });
  }

  follow(event: BackupEvent): void {
    const { doneBytes, totalBytes } = this.last;
    switch (event.kind) {
      case 'source':
        this.preparing(
          `reading from ${event.source.memberName} (${event.source.endpoint}): ${event.source.reason}`,
        );
        return;
      case 'streaming':
        this.next({
          step: 'Snapshotting',
          message: '',
          doneBytes: event.receivedBytes,
          totalBytes: event.totalBytes ?? 0,
        });
        return;
      case 'streamed':
        this.next({ step: 'Uploading', message: 'etcd has sent everything', doneBytes, totalBytes });
        return;
      case 'proving':
        this.next({
          step: 'ValidatingSnapshot',
          message: `asking ${event.endpoint} for its hash`,
          doneBytes,
          totalBytes,
        });
        return;
      case 'proof':
      case 'uploaded':
      case 'attachments':
      case 'committing':
        this.next({ step: 'ValidatingSnapshot', message: MESSAGES[event.kind], doneBytes, totalBytes });
        return;
      case 'attempt-failed':
        if (event.again)
          this.preparing(`${event.endpoint} failed: ${reasonOf(event.error)}; trying another member`);
    }
  }

  followIncrement(event: CatchUpEvent): void {
    const at = { doneBytes: 0, totalBytes: 0 };
    switch (event.kind) {
      case 'waiting':
        this.next({
          step: 'Snapshotting',
          message: `a capture is at work: waiting until it has stored revision ${event.revision}`,
          ...at,
        });
        return;
      case 'stored':
        this.next({ step: 'Uploading', message: `stored up to revision ${event.tail.revision}`, ...at });
        return;
      case 'watch-trouble':
        this.next({ step: 'Snapshotting', message: `${event.error.message}; trying again`, ...at });
        return;
      case 'taking-base':
        this.preparing(`a full backup is needed: ${event.reason}`);
        return;
      case 'clock-stepped':
    }
  }

  private next(progress: TaskProgress): void {
    this.last = progress;
    this.tell(progress);
  }
}

const MESSAGES = {
  proof: 'compared with a live member',
  uploaded: "etcd's data is stored",
  attachments: 'files of the node are dealt with',
  committing: 'committing',
} as const;
