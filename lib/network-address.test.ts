import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressKind } from './network-address.ts';

const KINDS: Readonly<Record<string, readonly string[]>> = {
  public: ['8.8.8.8', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '::ffff:8.8.8.8', '64:ff9b::808:808'],
  loopback: ['127.0.0.1', '127.255.0.9', '::1', '::ffff:127.0.0.1', '::ffff:7f00:1', '::127.0.0.1'],
  private: ['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', 'fd00::1', 'fec0::1', '2002:a00:1::'],
  shared: ['100.64.0.1', '100.127.255.255'],
  metadata: [
    ...['169.254.169.254', '::ffff:169.254.169.254', '::ffff:a9fe:a9fe', '64:ff9b::169.254.169.254'],
    ...['100.100.100.200', '168.63.129.16', 'fd00:ec2::254', '2002:a9fe:a9fe::', '169.254.170.2'],
  ],
  'link-local': ['169.254.1.1', 'fe80::1', 'febf::1', 'fe80::1%eth0'],
  unspecified: ['0.0.0.0', '0.1.2.3', '::', '::ffff:0.0.0.0'],
  reserved: [
    '224.0.0.1',
    '255.255.255.255',
    '240.0.0.1',
    '198.18.0.1',
    'ff02::1',
    '2001:db8::1',
    '4000::1',
    '2001::1',
  ],
};

for (const [kind, addresses] of Object.entries(KINDS)) {
  for (const address of addresses) {
    test(`${address} is ${kind}`, () => {
      assert.equal(addressKind(address), kind);
    });
  }
}

test('what is no address is of no kind', () => {
  for (const text of ['', 'example.com', '127.1', '0x7f.1', '2130706433', '0177.0.0.1', '[::1]', '1.2.3.4.5'])
    assert.equal(addressKind(text), undefined, text);
});

test('other ways to write an address are addresses once a URL was made of them', () => {
  for (const text of [
    '127.1',
    '0x7f.1',
    '2130706433',
    '0177.0.0.1',
    '017700000001',
    '0x7f000001',
    '127.0.0.1.',
  ])
    assert.equal(addressKind(new URL(`http://${text}/`).hostname), 'loopback', text);
  assert.equal(addressKind(new URL('http://2852039166/').hostname), 'metadata');
});
