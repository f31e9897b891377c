import { runProgram } from './run-program.ts';
import { type EtcdVersion, requireTool } from './tools.ts';

/** etcd's own program for files, the judge of ours. 3.4 has none: there it's `etcdctl snapshot status`. */
export async function etcdutl(version: EtcdVersion, ...args: readonly string[]): Promise<string> {
  return runProgram(requireTool('etcdutl', version), args);
}

/** etcdctl with no endpoint set; a started member has an `etcdctl` that knows how to reach it. */
export async function etcdctl(version: EtcdVersion, ...args: readonly string[]): Promise<string> {
  return runProgram(requireTool('etcdctl', version), args);
}
