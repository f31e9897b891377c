import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { Agent } from 'node:https';
import { connect } from 'node:net';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import type { Authority } from './certificates.ts';
import { DEADLINE_MS, eventually } from './eventually.ts';
import { onFreePorts } from './free-port.ts';
import { type ServerProcess, startProcess } from './server-process.ts';
import type { SmallDisk } from './small-disk.ts';
import { temporaryFolder } from './temporary-folder.ts';
import { requireTool } from './tools.ts';

export interface S3Options {
  /** It speaks https with a certificate of this authority. */
  readonly tls?: { readonly authority: Authority };
  /** Buckets remember every version of their objects, and Object Lock can be had. */
  readonly versioning?: boolean;
  /** Also answers to `BUCKET.<this domain>`, as virtual-host style has it. */
  readonly virtualDomain?: string;
  /** The address it listens on; default 127.0.0.1. */
  readonly host?: string;
  /** Where it keeps the objects; default a temporary folder. */
  readonly disk?: Pick<SmallDisk, 'path' | 'within'>;
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
  const { tls, versioning = false, virtualDomain, host = '127.0.0.1', disk, args = [] } = options;
  const temporary = await temporaryFolder();
  const folder = disk?.path ?? temporary.join('buckets');
  await mkdir(folder, { recursive: true });
  await mkdir(temporary.join('versions'));
  const address = `${host}:${port}`;
  const endpoint = `${tls === undefined ? 'http' : 'https'}://${address}`;
  const credentials = { accessKeyId: 'test-access-key', secretAccessKey: 'test-secret-key' };
  const certificate = await tls?.authority.issue({ uses: ['server'] });

  const [command, ...commandArgs] = [
    ...(disk?.within ?? []),
    requireTool('versitygw'),
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
    const started = await startProcess(command, commandArgs, { env });
    try {
      await started.line(/service listening on/, DEADLINE_MS);
      // It says so a moment before it is true.
      await eventually('the S3 server takes connections', () => takesConnections(port, host));
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

async function takesConnections(port: number, host: string): Promise<true> {
  const socket = connect(port, host);
  try {
    await once(socket, 'connect');
    return true;
  } finally {
    socket.destroy();
  }
}
