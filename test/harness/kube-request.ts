import { request } from 'node:https';
import { json } from 'node:stream/consumers';

export interface ApiRequest {
  readonly token?: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Default application/json; patches need their own. */
  readonly contentType?: string;
  /** Acts as this user, which its own user must be allowed to. */
  readonly as?: { readonly username: string; readonly uid?: string; readonly groups?: readonly string[] };
}

export interface ApiResponse {
  readonly status: number;
  /** Parsed when it is JSON, else text. */
  readonly body: unknown;
  /** The message of a Kubernetes Status; empty for anything else. */
  readonly message: string;
}

/** One request to an API server, on a connection of its own. Resolves whatever the status is. */
export async function requestApi(
  url: string,
  ca: string,
  method: string,
  path: string,
  options: ApiRequest,
): Promise<ApiResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<ApiResponse>();
  const { token, body, contentType = 'application/json', as } = options;
  const headers: Record<string, string | string[]> = { accept: 'application/json' };
  if (token !== undefined) headers.authorization = `Bearer ${token}`;
  if (body !== undefined) headers['content-type'] = contentType;
  if (as !== undefined) headers['impersonate-user'] = as.username;
  if (as?.uid !== undefined) headers['impersonate-uid'] = as.uid;
  if (as?.groups !== undefined) headers['impersonate-group'] = [...as.groups];

  const sent = request(new URL(path, url), { method, ca, headers, agent: false }, (response) => {
    const status = response.statusCode ?? 0;
    response.once('close', () => {
      if (!response.complete) reject(new Error('the answer was broken off'));
    });
    const isJson = response.headers['content-type']?.startsWith('application/json') === true;
    if (!isJson) {
      response.resume().once('end', () => {
        resolve({ status, body: '', message: '' });
      });
      return;
    }
    json(response).then((parsed) => {
      resolve({ status, body: parsed, message: messageOf(parsed) });
    }, reject);
  });
  sent.on('error', reject);
  sent.end(body === undefined ? undefined : JSON.stringify(body));
  return promise;
}

function messageOf(body: unknown): string {
  const isStatus = typeof body === 'object' && body !== null && 'message' in body;
  return isStatus && typeof body.message === 'string' ? body.message : '';
}
