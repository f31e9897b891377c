import { Buffer } from 'node:buffer';
import { FastRandom, RandomBytes } from './fast-random.ts';
import type { KubernetesHistory } from './kubernetes-history.ts';
import { KINDS } from './kubernetes-kinds.ts';

const NAMESPACES = 200;
const APPS = 60;
/** Bytes of each app's share of a kind's content. */
const TEMPLATE_SIZE = 16 * 1024;
const MAGIC = Buffer.from('k8s\0', 'latin1');

/**
 * Keys and values of the objects of a history. An object's content follows from its number alone, but for a small part
 * that follows from its version; it is pieces of its app's template with hex digits of its own between them, so that it
 * compresses as Kubernetes objects do.
 */
export class KubernetesObjects {
  private readonly history: KubernetesHistory;
  private readonly random: FastRandom;
  private readonly randomBytes: RandomBytes;
  private readonly namespaces: readonly string[];
  private readonly apps: readonly string[];
  /** By kind and app. */
  private readonly templates: readonly (readonly Buffer[])[];
  private readonly typeMetas: readonly Buffer[];
  private readonly labels: readonly Buffer[];

  constructor(history: KubernetesHistory) {
    this.history = history;
    this.random = new FastRandom(history.seed);
    this.randomBytes = new RandomBytes(history.seed);
    this.namespaces = Array.from(
      { length: NAMESPACES },
      (_, index) => NAMESPACE_NAMES[index] ?? `team-${index}`,
    );
    this.apps = Array.from(
      { length: APPS },
      (_, index) => `${APP_NAMES[index % APP_NAMES.length] ?? 'app'}-${index}`,
    );
    this.templates = KINDS.map((kind) => this.apps.map((app) => template(this.random, kind.kind, app)));
    this.labels = this.apps.map((app) =>
      message(
        [11, message([1, 'app.kubernetes.io/name'], [2, app])],
        [11, message([1, 'app.kubernetes.io/managed-by'], [2, 'Helm'])],
      ),
    );
    this.typeMetas = KINDS.map((kind) => message([1, kind.apiVersion], [2, kind.kind]));
  }

  /** Writes the object's key at `at` and returns its end. */
  writeKey(bytes: Buffer, at: number, object: number): number {
    const kind = KINDS[this.history.kinds[object] ?? 0];
    const namespace = kind?.clusterScoped === true ? '' : `${this.namespaceOf(object)}/`;
    return at + bytes.write(`/registry/${kind?.path ?? ''}/${namespace}${this.nameOf(object)}`, at, 'latin1');
  }

  /** Writes the object's value as of its nth version, and returns its end. */
  writeValue(bytes: Buffer, at: number, object: number, version: number): number {
    const kindNumber = this.history.kinds[object] ?? 0;
    const kind = KINDS[kindNumber];
    const size = this.history.sizes[object] ?? 0;
    this.random.restart(object, this.history.seed, 1);
    if (kind?.encoding === 'json') return this.writeJson(bytes, at, object, kindNumber, size, version);

    let end = at + MAGIC.copy(bytes, at);
    end = writeHead(bytes, end, 1, this.typeMetas[kindNumber] ?? MAGIC);
    // runtime.Unknown.raw, whose length is known only behind it: a varint of three bytes is kept free.
    bytes[end] = 0x12;
    const rawStart = end + 4;
    end = this.writeObjectMeta(bytes, rawStart, object);
    const bodySize = Math.max(16, size - (end - at) - 8);
    bytes[end] = 0x12;
    writeVarint3(bytes, end + 1, bodySize);
    end += 4;
    if (kind?.incompressible === true) this.randomBytes.fill(bytes, end, end + bodySize);
    else this.writeBody(bytes, end, end + bodySize, object, kindNumber, version);
    end += bodySize;
    writeVarint3(bytes, rawStart - 3, end - rawStart);
    // contentEncoding and contentType: empty, but written.
    bytes[end++] = 0x1a;
    bytes[end++] = 0;
    bytes[end++] = 0x22;
    bytes[end++] = 0;
    return end;
  }

  namespaceOf(object: number): string {
    // A few namespaces have most of the objects.
    const spread = ((object * 2654435761) >>> 0) / 0x1_0000_0000;
    return this.namespaces[Math.floor(NAMESPACES * spread ** 3)] ?? 'default';
  }

  private appOf(object: number): number {
    return ((object * 40503) >>> 4) % APPS;
  }

  private nameOf(object: number): string {
    const suffix = ((object * 2246822519) >>> 0).toString(36).padStart(7, '0');
    return `${this.apps[this.appOf(object)] ?? ''}-${suffix}-${object.toString(36)}`;
  }

  /** Field 1 of every object: name, namespace, uid, creation time, labels. */
  private writeObjectMeta(bytes: Buffer, at: number, object: number): number {
    const metaStart = at + 3;
    let end = writeText(bytes, metaStart, 1, this.nameOf(object));
    end = writeText(bytes, end, 3, this.namespaceOf(object));
    bytes[end] = 0x2a;
    bytes[end + 1] = 36;
    writeUid(this.random, bytes, end + 2);
    end += 38;
    // creationTimestamp: seconds of 2026.
    bytes[end] = 0x42;
    bytes[end + 1] = 6;
    bytes[end + 2] = 0x08;
    writeVarint5(bytes, end + 3, 1_767_225_600 + (object % 28_000_000));
    end += 8;
    end += this.labels[this.appOf(object)]?.copy(bytes, end) ?? 0;
    bytes[at] = 0x0a;
    bytes[at + 1] = ((end - metaStart) & 0x7f) | 0x80;
    bytes[at + 2] = (end - metaStart) >> 7;
    return end;
  }

  private writeBody(
    bytes: Buffer,
    start: number,
    end: number,
    object: number,
    kind: number,
    version: number,
  ): void {
    const source = this.templates[kind]?.[this.appOf(object)] ?? MAGIC;
    const { random } = this;
    let at = start;
    let from = 0;
    while (at < end) {
      const dice = random.next();
      const length = Math.min(48 + (dice & 127), end - at, source.length - from);
      at += source.copy(bytes, at, from, from + length);
      from = from + length < source.length ? from + length : (dice >>> 8) & 0xfff;
      const unique = Math.min(end, at + 8 + ((dice >>> 24) & 15));
      random.hex(bytes, at, unique);
      at = unique;
    }
    // What a controller touches: conditions and times near the end.
    random.restart(object, version, 2);
    random.hex(bytes, Math.max(start, end - 24), end);
  }

  private writeJson(
    bytes: Buffer,
    at: number,
    object: number,
    kindNumber: number,
    size: number,
    version: number,
  ): number {
    const kind = KINDS[kindNumber];
    const uid = Buffer.alloc(36);
    writeUid(this.random, uid, 0);
    const head = `{"apiVersion":"${kind?.apiVersion ?? ''}","kind":"${kind?.kind ?? ''}","metadata":{"creationTimestamp":"2026-03-01T10:00:00Z","generation":${version},"name":"${this.nameOf(object)}","namespace":"${this.namespaceOf(object)}","uid":"${uid.toString()}"},"spec":{"data":"`;
    const bodyStart = at + bytes.write(head, at, 'latin1');
    const bodyEnd = Math.max(bodyStart + 16, at + size - 3);
    this.writeBody(bytes, bodyStart, bodyEnd, object, kindNumber, version);
    return bodyEnd + bytes.write('"}}', bodyEnd, 'latin1');
  }
}

/** The value of the Namespace object whose uid names the cluster. */
export function namespaceValue(name: string, uid: string): Buffer {
  const meta = message([1, name], [5, uid], [8, message([1, 1_767_225_600])]);
  const raw = message([1, meta], [2, message([1, 'kubernetes'])], [3, message([1, 'Active'])]);
  return Buffer.concat([
    MAGIC,
    message([1, message([1, 'v1'], [2, 'Namespace'])], [2, raw], [3, ''], [4, '']),
  ]);
}

/** Text such as an object of that kind and app has; the same words again and again, but no two places alike. */
function template(random: FastRandom, kind: string, app: string): Buffer {
  const parts = [`${kind} ${app} `];
  let size = 0;
  while (size < TEMPLATE_SIZE) {
    const word = WORDS[random.below(WORDS.length)] ?? '';
    const other = WORDS[random.below(WORDS.length)] ?? '';
    const part = `\\"f:${word}\\":{\\"f:${other}\\":{},\\".\\":{\\"${app}/${word}\\":\\"${random.below(1000)}\\"}},`;
    parts.push(part);
    size += part.length;
  }
  return Buffer.from(parts.join('')).subarray(0, TEMPLATE_SIZE);
}

function writeUid(random: FastRandom, bytes: Buffer, at: number): void {
  random.hex(bytes, at, at + 36);
  for (const dash of [8, 13, 18, 23]) bytes[at + dash] = 0x2d;
  // Version 4, variant 1.
  bytes[at + 14] = 0x34;
  bytes[at + 19] = 0x61;
}

function writeText(bytes: Buffer, at: number, field: number, text: string): number {
  bytes[at] = (field << 3) | 2;
  bytes[at + 1] = text.length;
  return at + 2 + bytes.write(text, at + 2, 'latin1');
}

/** A length-delimited field of less than 128 bytes. */
function writeHead(bytes: Buffer, at: number, field: number, value: Buffer): number {
  bytes[at] = (field << 3) | 2;
  bytes[at + 1] = value.length;
  return at + 2 + value.copy(bytes, at + 2);
}

/** Three bytes whatever the value, below 2^21. */
function writeVarint3(bytes: Buffer, at: number, value: number): void {
  bytes[at] = (value & 0x7f) | 0x80;
  bytes[at + 1] = ((value >>> 7) & 0x7f) | 0x80;
  bytes[at + 2] = value >>> 14;
}

/** Five bytes: 2^28 to 2^35. */
function writeVarint5(bytes: Buffer, at: number, value: number): void {
  for (let index = 0; index < 4; index++) bytes[at + index] = ((value >>> (7 * index)) & 0x7f) | 0x80;
  bytes[at + 4] = Math.floor(value / 2 ** 28);
}

/** A small protobuf message: texts, messages, and numbers below 2^35. */
function message(...fields: readonly (readonly [number, string | Buffer | number])[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([field, value]) => {
      if (typeof value === 'number') {
        const varint = Buffer.alloc(5);
        writeVarint5(varint, 0, value);
        return [Buffer.from([field << 3]), varint];
      }
      const bytes = Buffer.from(value);
      return [Buffer.from([(field << 3) | 2, bytes.length]), bytes];
    }),
  );
}

const NAMESPACE_NAMES = [
  'default',
  'kube-system',
  'monitoring',
  'ingress-nginx',
  'argocd',
  'cert-manager',
  'logging',
];
const APP_NAMES = [
  'api',
  'web',
  'worker',
  'cache',
  'billing',
  'search',
  'auth',
  'gateway',
  'scheduler',
  'reports',
];
const WORDS = (
  'metadata annotations labels ownerReferences finalizers managedFields spec containers env image imagePullPolicy name ' +
  'ports protocol containerPort resources limits requests memory cpu volumeMounts mountPath readOnly terminationGrace ' +
  'securityContext runAsNonRoot seccompProfile serviceAccountName tolerations affinity nodeAffinity podAntiAffinity ' +
  'topologyKey requiredDuringScheduling restartPolicy dnsPolicy status conditions lastTransitionTime lastProbeTime ' +
  'reason message observedGeneration replicas readyReplicas availableReplicas containerStatuses containerID imageID ' +
  'lastState ready restartCount started state running startedAt hostIP phase podIP podIPs qosClass startTime'
).split(' ');
