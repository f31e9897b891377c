import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serviceAddresses } from './service-addresses.ts';

function field(number: number, content: Buffer | string): Buffer {
  const bytes = Buffer.from(content as string);
  const tag = (number << 3) | 2;
  const varint = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, value >> 7]);
  return Buffer.concat([Buffer.from([...varint(tag), ...varint(bytes.length)]), bytes]);
}

function service(...addresses: readonly string[]): Buffer {
  const spec = [field(3, addresses[0] ?? ''), ...addresses.map((address) => field(18, address))];
  const object = Buffer.concat([field(1, field(1, 'webhook')), field(2, Buffer.concat(spec))]);
  return Buffer.concat([Buffer.from('k8s\0'), field(1, field(1, 'v1')), field(2, object), field(3, '')]);
}

test('the addresses of a Service are read as it is stored, each once', () => {
  assert.deepEqual(serviceAddresses(service('10.96.0.17')), ['10.96.0.17']);
  assert.deepEqual(serviceAddresses(service('10.96.0.17', 'fd00::11')), ['10.96.0.17', 'fd00::11']);
  const json = { kind: 'Service', spec: { clusterIP: '10.0.0.1', clusterIPs: ['10.0.0.1', 'fd00::1'] } };
  assert.deepEqual(serviceAddresses(Buffer.from(JSON.stringify(json))), ['10.0.0.1', 'fd00::1']);
});

test('headless Services have none, nor has what can not be read', () => {
  for (const value of [
    service('None'),
    service(),
    Buffer.from('{"spec":{}}'),
    Buffer.from('{'),
    Buffer.from('k8s:enc:aescbc:v1:key:xxxx'),
    Buffer.from('k8s\0\xff\xff', 'latin1'),
    Buffer.alloc(0),
    service('../../etc'),
  ])
    assert.deepEqual(serviceAddresses(value), []);
});
