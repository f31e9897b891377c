import { GuardianError } from '../../lib/guardian-error.ts';

/** What was found, or why nobody could look. */
export type Looked<T> = { readonly found: T } | { readonly problem: GuardianError };

/** Rejects only with what nobody foresaw, and with the signal's reason. */
export async function look<T>(asking: Promise<T>): Promise<Looked<T>> {
  try {
    return { found: await asking };
  } catch (error) {
    if (error instanceof GuardianError) return { problem: error };
    throw error;
  }
}

export function foundOf<T>(looked: Looked<T>): T | undefined {
  return 'found' in looked ? looked.found : undefined;
}
