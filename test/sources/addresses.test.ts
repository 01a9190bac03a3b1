import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createAddressPolicy, parseAllowedAddress } from '../../src/sources/addresses.ts';

const nothing = createAddressPolicy({ allow: [] });

test.each([
  '8.8.8.8',
  '1.1.1.1',
  '172.15.0.1',
  '172.32.0.1',
  '100.63.255.255',
  '100.128.0.1',
  '223.255.255.254',
  '2001:4860:4860::8888',
  '2a00:1450:4001:80b::200e',
  '::ffff:8.8.8.8',
])('%s is public', (address) => {
  for (const port of [80, 443, 8080, 8443]) expect(nothing.check(address, port)).toBe(true);
});

test.each([22, 25, 0, 81, 5432, 6379, 9000, 65_536, Number.NaN])(
  'port %s of a public address is closed',
  (port) => {
    expect(nothing.check('8.8.8.8', port)).toBe(false);
  },
);

test.each([
  ...[
    '0.0.0.0',
    '0.1.2.3',
    '10.0.0.1',
    '10.255.255.255',
    '100.64.0.1',
    '100.127.255.255',
    '127.0.0.1',
    '127.0.0.2',
  ],
  ...[
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.0.0.1',
    '192.0.0.170',
    '192.0.2.1',
    '192.88.99.1',
  ],
  ...[
    '192.168.0.1',
    '198.18.0.1',
    '198.19.255.255',
    '198.51.100.1',
    '203.0.113.1',
    '224.0.0.1',
    '239.255.255.255',
  ],
  ...['240.0.0.1', '255.255.255.255'],
  ...[
    '::',
    '::1',
    '::127.0.0.1',
    '::8.8.8.8',
    '::ffff:127.0.0.1',
    '::ffff:10.0.0.1',
    '::ffff:a9fe:a9fe',
    '::ffff:0:127.0.0.1',
  ],
  ...[
    '64:ff9b::7f00:1',
    '64:ff9b::808:808',
    '64:ff9b:1::1',
    '100::1',
    '2001::1',
    '2001:0:4136:e378:8000:63bf:3fff:fdd2',
  ],
  ...[
    '2001:2::1',
    '2001:10::1',
    '2001:20::1',
    '2001:db8::1',
    '2002:7f00:1::',
    '2002:808:808::1',
    '3fff::1',
    '5f00::1',
  ],
  ...['fc00::1', 'fd12:3456::1', 'fe80::1', 'fe80::1%eth0', 'fec0::1', 'ff02::1', '4000::1', 'e000::1'],
  ...['', 'localhost', 'example.com', '127.1', '2130706433', '0x7f.1', '8.8.8.8 ', '[::1]', '8.8.8.8/32'],
])('%j is not public', (address) => {
  expect(nothing.check(address, 80)).toBe(false);
});

test('no address of a special block passes', () => {
  // The list of https://www.iana.org/assignments/iana-ipv4-special-registry, as numbers, apart from what is checked.
  const blocks = [
    ...[
      [0, 8],
      [10, 8],
      [127, 8],
    ].map(([a, bits]) => [[a, 0, 0, 0], bits] as const),
    [[100, 64, 0, 0], 10],
    [[169, 254, 0, 0], 16],
    [[172, 16, 0, 0], 12],
    [[192, 168, 0, 0], 16],
    [[198, 18, 0, 0], 15],
    [[224, 0, 0, 0], 3],
  ] as const;
  const address = fc
    .tuple(fc.constantFrom(...blocks), fc.nat({ max: 0xffffffff }))
    .map(([[base, bits], random]) => {
      const network = base.reduce<number>((sum, part) => sum * 256 + (part ?? 0), 0);
      const number = network + (random % 2 ** (32 - (bits ?? 32)));
      return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.');
    });
  fc.assert(
    fc.property(address, fc.constantFrom('', '::ffff:', '::', '64:ff9b::'), (text, prefix) => {
      expect(nothing.check(prefix + text, 443)).toBe(false);
    }),
    { numRuns: 5000 },
  );
});

describe('what the operator allows', () => {
  test('an address with a port is open on that port alone', () => {
    const policy = createAddressPolicy({ allow: ['127.0.0.1/32:9000', '[::1]/128:8080'] });
    expect(policy.check('127.0.0.1', 9000)).toBe(true);
    expect(policy.check('127.0.0.1', 80)).toBe(false);
    expect(policy.check('127.0.0.2', 9000)).toBe(false);
    expect(policy.check('::1', 8080)).toBe(true);
    expect(policy.check('::1', 9000)).toBe(false);
  });

  test('an address without a port is open on all', () => {
    const policy = createAddressPolicy({ allow: ['10.0.0.0/8', 'fd00::/8'] });
    expect(policy.check('10.1.2.3', 22)).toBe(true);
    expect(policy.check('11.1.2.3', 22)).toBe(false);
    expect(policy.check('fd12::1', 5432)).toBe(true);
    expect(policy.check('fc12::1', 80)).toBe(false);
  });

  test('a mapped address counts as the IPv4 address that it is', () => {
    const policy = createAddressPolicy({ allow: ['127.0.0.1:9000', '::ffff:10.0.0.0/104'] });
    expect(policy.check('::ffff:127.0.0.1', 9000)).toBe(true);
    expect(policy.check('::ffff:127.0.0.2', 9000)).toBe(false);
    expect(policy.check('10.200.0.1', 1234)).toBe(true);
    expect(policy.check('::ffff:10.200.0.1', 1234)).toBe(true);
  });

  test('an allowed IPv4 address does not open the IPv6 addresses that carry it', () => {
    const policy = createAddressPolicy({ allow: ['127.0.0.0/8'] });
    expect(policy.check('::127.0.0.1', 80)).toBe(false);
    expect(policy.check('64:ff9b::7f00:1', 80)).toBe(false);
    expect(policy.check('2002:7f00:1::', 80)).toBe(false);
  });

  test.each([
    ['127.0.0.1', 32, null],
    ['127.0.0.1:9000', 32, 9000],
    ['127.0.0.1/32:9000', 32, 9000],
    [' 10.0.0.0/8 ', 8, null],
    ['::1', 128, null],
    ['[::1]', 128, null],
    ['[::1]:8080', 128, 8080],
    ['[::1]/128:8080', 128, 8080],
    ['::1/128:8080', 128, 8080],
    ['fd00::/8', 8, null],
    ['0.0.0.0/0', 0, null],
  ])('%j is read', (text, prefixLength, port) => {
    expect(parseAllowedAddress(text)).toMatchObject({ prefixLength, port });
  });

  test.each([
    '',
    'localhost',
    'example.com:80',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '127.0.0.1:0',
    '127.0.0.1:70000',
    '127.1',
  ])('%j is refused with a reason', (text) => {
    expect(() => parseAllowedAddress(text)).toThrow(`"${text}"`);
  });

  test.each([
    '[::1',
    '::1]',
    '10.0.0.0/8/8',
    '127.0.0.1:80:80',
    '::1%eth0',
    '::ffff:1.2.3.4/90',
    '2130706433',
  ])('%j is refused', (text) => {
    expect(() => createAddressPolicy({ allow: ['10.0.0.0/8', text] })).toThrow('"');
  });
});
