import { Agent, request } from 'node:https';
import { exactJson } from '../../keyspace/exact-json.ts';

/** What an API server answered. */
export interface ApiAnswer {
  readonly status: number;
  /** Undefined for what is no JSON. */
  readonly json: unknown;
  /** The first bytes as text; of a Status its message. */
  readonly message: string;
}

/** Asks one API server, over connections of its own. */
export interface DrillApiClient extends Disposable {
  /** GET. Rejects when there is no answer, or one of more than 512 MiB. */
  get(path: string, options?: ApiGetOptions): Promise<ApiAnswer>;
}

export interface ApiGetOptions {
  readonly accept?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

const MOST_BYTES = 512 * 2 ** 20;
const SILENT_MS = 120_000;

/** `ca`: what its own certificate is signed by, as PEM. */
export function drillApiClient(port: number, ca: string, token: string): DrillApiClient {
  const agent = new Agent({ ca, servername: 'kubernetes.default.svc', keepAlive: true, maxSockets: 2 });
  return {
    get: (path, { accept = 'application/json', signal } = {}) =>
      new Promise((resolve, reject) => {
        const headers = { authorization: `Bearer ${token}`, accept };
        const options = { host: '127.0.0.1', port, path, agent, headers, signal, timeout: SILENT_MS };
        const asked = request(options, (response) => {
          const chunks: Buffer[] = [];
          let size = 0;
          response.on('data', (chunk: Buffer) => {
            chunks.push(chunk);
            size += chunk.length;
            if (size > MOST_BYTES)
              response.destroy(new Error(`${path} answers more than ${MOST_BYTES} bytes`));
          });
          response.on('error', reject);
          response.on('end', () => {
            resolve(answerOf(response.statusCode ?? 0, Buffer.concat(chunks)));
          });
        });
        asked.on('timeout', () => asked.destroy(new Error(`${path} is not answered`)));
        asked.on('error', reject);
        asked.end();
      }),
    [Symbol.dispose]: () => {
      agent.destroy();
    },
  };
}

function answerOf(status: number, body: Buffer): ApiAnswer {
  let json: unknown;
  try {
    json = exactJson(body);
  } catch {
    json = undefined;
  }
  const told = typeof json === 'object' && json !== null && 'message' in json ? json.message : undefined;
  return { status, json, message: typeof told === 'string' ? told : body.toString('utf8', 0, 4000) };
}
