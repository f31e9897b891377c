import { userInfo } from 'node:os';

/** Who runs this, for records: the user's name, or `uid 1000` where the system knows none, as in many containers. */
export function userName(lookUp: () => { readonly username: string } = userInfo): string {
  try {
    return lookUp().username;
  } catch {
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}
