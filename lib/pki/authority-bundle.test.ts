import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type AuthorityBundle,
  fromSecretData,
  toSecretData,
  trustedAuthorities,
  trustPem,
} from './authority-bundle.ts';
import { createAuthority } from './authority.ts';
import { CLUSTER, DAY_MS, later, newAuthority, NOW } from './installation.fixture.ts';
import { splitPem } from './pem.ts';
import { introduceAuthority, switchAuthority } from './rotation.ts';

const SOURCE = 'Secret etcd-guardian-system/etcdguardian-ca';
const first: AuthorityBundle = { signer: await newAuthority(NOW), retired: [] };
const during = introduceAuthority(first, await newAuthority(NOW), NOW);
const after = switchAuthority(during, later(NOW, DAY_MS));
const twice = introduceAuthority(after, await newAuthority(NOW), later(NOW, 2 * DAY_MS));

for (const [when, bundle] of Object.entries({ first, during, after, twice })) {
  test(`a bundle goes into a Secret and comes back (${when})`, () => {
    const back = fromSecretData(toSecretData(bundle), SOURCE);
    assert.deepEqual(summary(back), summary(bundle));
    assert.ok(back.signer.key.equals(bundle.signer.key));
    assert.deepEqual(splitPem(trustPem(back)).length, trustedAuthorities(bundle).length);
  });
}

test("a retired authority's key is kept nowhere", () => {
  const data = toSecretData(after);
  assert.deepEqual(Object.keys(data).sort(), ['ca.crt', 'rotation.json', 'signer.key']);
  const stored = Object.values(data).map((value) => Buffer.from(value, 'base64').toString());
  const oldKey = toSecretData(first)['signer.key'];
  assert.equal(stored.includes(Buffer.from(oldKey ?? '', 'base64').toString()), false);
});

const withoutKey = Object.fromEntries(
  Object.entries(toSecretData(first)).filter(([name]) => name !== 'signer.key'),
);
const otherCluster: AuthorityBundle = {
  signer: await createAuthority({ cluster: 'other', namespace: 'default' }, NOW),
  retired: [],
};
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const BROKEN: readonly { what: string; data: Record<string, string>; says: RegExp }[] = [
  { what: 'nothing', data: {}, says: /has no rotation\.json/ },
  { what: 'no key', data: withoutKey, says: /has no signer\.key/ },
  {
    what: 'the key of another time',
    data: { ...toSecretData(after), 'signer.key': toSecretData(first)['signer.key'] ?? '' },
    says: /does not belong to the private key in signer\.key/,
  },
  {
    what: 'the certificates of another time',
    data: { ...toSecretData(during), 'ca.crt': toSecretData(first)['ca.crt'] ?? '' },
    says: /that ca\.crt doesn't hold/,
  },
  {
    what: 'a certificate too many',
    data: { ...toSecretData(first), 'ca.crt': toSecretData(during)['ca.crt'] ?? '' },
    says: /that rotation\.json doesn't name/,
  },
  {
    what: 'a rotation that is no JSON',
    data: { ...toSecretData(first), 'rotation.json': base64('{') },
    says: /rotation\.json of Secret .* can't be read/,
  },
  {
    what: 'a rotation with fields from elsewhere',
    data: { ...toSecretData(first), 'rotation.json': base64('{"signer":"x","retired":[]}') },
    says: /rotation\.json/,
  },
  {
    what: 'authorities of two clusters',
    data: toSecretData(introduceAuthority(first, otherCluster.signer, NOW)),
    says: new RegExp(`several clusters: ${CLUSTER}, other`),
  },
];

for (const { what, data, says } of BROKEN) {
  test(`a Secret with ${what} is refused, and named`, () => {
    assert.throws(
      () => fromSecretData(data, SOURCE),
      (error: unknown) => {
        assert.ok(error instanceof Error && 'code' in error);
        assert.match(String(error.code), /^pki\.(bundle|authority|key)$/);
        assert.match(error.message, says);
        assert.ok(error.message.includes(SOURCE));
        return true;
      },
    );
  });
}

function summary(bundle: AuthorityBundle): object {
  return {
    signer: bundle.signer.certificate.fingerprint256,
    scope: bundle.signer.scope,
    next: bundle.next && [bundle.next.authority.certificate.fingerprint256, bundle.next.introduced],
    retired: bundle.retired.map(({ certificate, trustedUntil }) => [
      certificate.fingerprint256,
      trustedUntil,
    ]),
  };
}
