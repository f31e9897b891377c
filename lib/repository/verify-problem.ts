/** Something wrong, or suspicious, that a check of a backup or a chain found. */
export interface VerifyProblem {
  /** A `GuardianError`'s or a verifier's, e.g. `repository.damaged`, `bolt.page-order`. */
  readonly code: string;
  readonly message: string;
  /** Name of the object. */
  readonly object: string;
  readonly hint?: string | undefined;
}
