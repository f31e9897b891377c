import { mkdir } from 'node:fs/promises';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { Agent } from 'node:https';
import { type Authority } from './certificates.ts';
import { DEADLINE_MS } from './eventually.ts';
import { onFreePorts } from './free-port.ts';
import { type ServerProcess, startProcess } from './server-process.ts';
import { temporaryFolder } from './temporary-folder.ts';
import { requireTool } from './tools.ts';

export interface S3Options {
  /** It speaks https with a certificate of this authority. */
  readonly tls?: { readonly authority: Authority };
  /** Buckets remember every version of their objects, and Object Lock can be had. */
  readonly versioning?: boolean;
  /** Also answers to `BUCKET.<this domain>`, as virtual-host style has it. */
  readonly virtualDomain?: string;
  /** Further flags of versitygw. */
  readonly args?: readonly string[];
}

/** A running S3 server (versitygw) over a temporary folder. */
export interface S3Server extends AsyncDisposable {
  readonly endpoint: string;
  /** `host:port` */
  readonly address: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Where the objects lie as files: `<folder>/<bucket>/<object name>`. */
  readonly folder: string;
  readonly pid: number;
  output(): string;
  /** Makes a bucket and resolves to its name; with `objectLock`, one whose objects can be locked. */
  createBucket(name: string, options?: { objectLock?: boolean }): Promise<string>;
  /** It takes connections and answers nothing, until `resume()`. */
  pause(): void;
  resume(): void;
  /** SIGKILL; what was stored stays. */
  kill(): Promise<void>;
  /** Starts it again on the same port and folder (ending it politely before, when it runs). */
  restart(): Promise<void>;
}

const REGION = 'us-east-1';

export async function startS3Server(options: S3Options = {}): Promise<S3Server> {
  return onFreePorts(1, async ([port = 0]) => start(port, options));
}

async function start(port: number, options: S3Options): Promise<S3Server> {
  const { tls, versioning = false, virtualDomain, args = [] } = options;
  const temporary = await temporaryFolder();
  const folder = temporary.join('buckets');
  await mkdir(folder);
  await mkdir(temporary.join('versions'));
  const address = `127.0.0.1:${port}`;
  const endpoint = `${tls === undefined ? 'http' : 'https'}://${address}`;
  const credentials = { accessKeyId: 'test-access-key', secretAccessKey: 'test-secret-key' };
  const certificate = await tls?.authority.issue({ uses: ['server'] });

  const command = [
    `--port=${address}`,
    `--region=${REGION}`,
    '--keep-alive',
    ...(certificate === undefined
      ? []
      : [`--cert=${certificate.certificateFile}`, `--key=${certificate.keyFile}`]),
    ...(virtualDomain === undefined ? [] : [`--virtual-domain=${virtualDomain}`]),
    ...args,
    'posix',
    ...(versioning ? [`--versioning-dir=${temporary.join('versions')}`] : []),
    folder,
  ];
  const env = {
    ...process.env,
    ROOT_ACCESS_KEY: credentials.accessKeyId,
    ROOT_SECRET_KEY: credentials.secretAccessKey,
  };

  let server: ServerProcess;
  const run = async (): Promise<ServerProcess> => {
    const started = await startProcess(requireTool('versitygw'), command, { env });
    try {
      await started.line(/service listening on/, DEADLINE_MS);
      return started;
    } catch (error) {
      await started.kill();
      throw error;
    }
  };
  try {
    server = await run();
  } catch (error) {
    await temporary[Symbol.asyncDispose]();
    throw error;
  }

  return {
    ...{ endpoint, address, region: REGION, ...credentials, folder },
    get pid() {
      return server.pid;
    },
    output: () => server.output(),
    async createBucket(name, { objectLock = false } = {}) {
      const client = new S3Client({
        ...{ endpoint, region: REGION, credentials, forcePathStyle: true },
        requestHandler: new NodeHttpHandler(
          tls === undefined ? {} : { httpsAgent: new Agent({ ca: tls.authority.certificate }) },
        ),
      });
      try {
        await client.send(new CreateBucketCommand({ Bucket: name, ObjectLockEnabledForBucket: objectLock }));
      } finally {
        client.destroy();
      }
      return name;
    },
    pause() {
      server.signal('SIGSTOP');
    },
    resume() {
      server.signal('SIGCONT');
    },
    kill: () => server.kill(),
    async restart() {
      await server.stop();
      server = await run();
    },
    async [Symbol.asyncDispose]() {
      await server.kill();
      await temporary[Symbol.asyncDispose]();
    },
  };
}
