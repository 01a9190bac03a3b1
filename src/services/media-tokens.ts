import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';

/** What a token says. */
export interface TokenContent {
  /** UUIDs, as many as the kind of token has. */
  readonly ids: readonly string[];
  /** A number of 63 bits, where the kind of token has one. */
  readonly number: bigint | null;
  /** Which epoch of its team it is of, 0 to 65,535. */
  readonly epoch: number;
  /** In seconds since 1970; that moment included, it does not hold any more. */
  readonly expiry: number;
}

/** Makes tokens of one kind, and reads them again. */
export interface Tokens {
  /** @throws {TypeError} for an id that is no UUID */
  write(content: TokenContent): string;
  /** Null when it was not made with this secret, is of another kind, or was changed. */
  read(token: string): TokenContent | null;
}

const ID_BYTES = 16;
const EPOCH_BYTES = 2;
const EXPIRY_BYTES = 4;
const NUMBER_BYTES = 8;
const MAC_BYTES = 32;

/**
 * Tokens for a path of a URL: the content in a fixed layout, and an HMAC-SHA256 over it, in base64url.
 * @param options.purpose the key is derived from it and the secret (HKDF, RFC 5869), so that another use of the secret tells
 * nothing about it, and no kind of token is taken for another
 */
export function createTokens({
  secret,
  purpose,
  ids: idCount,
  hasNumber,
}: {
  readonly secret: Buffer;
  readonly purpose: string;
  readonly ids: number;
  readonly hasNumber: boolean;
}): Tokens {
  const key = Buffer.from(hkdfSync('sha256', secret, '', purpose, 32));
  const sign = (body: Buffer) => createHmac('sha256', key).update(body).digest();
  const stampAt = idCount * ID_BYTES;
  const bodyBytes = stampAt + EPOCH_BYTES + EXPIRY_BYTES + (hasNumber ? NUMBER_BYTES : 0);
  const characters = Math.ceil(((bodyBytes + MAC_BYTES) * 8) / 6);

  return {
    write({ ids, number, epoch, expiry }) {
      const body = Buffer.alloc(bodyBytes);
      for (const [at, id] of ids.entries()) idToBytes(id).copy(body, at * ID_BYTES);
      body.writeUInt16BE(epoch, stampAt);
      body.writeUInt32BE(expiry, stampAt + EPOCH_BYTES);
      if (hasNumber) body.writeBigInt64BE(number ?? 0n, stampAt + EPOCH_BYTES + EXPIRY_BYTES);
      return Buffer.concat([body, sign(body)]).toString('base64url');
    },
    read(token) {
      if (token.length !== characters) return null;
      const bytes = Buffer.from(token, 'base64url');
      // A decoder skips what it does not know, and the last character may have bits that no byte holds: the same bytes must
      // not have several tokens.
      if (bytes.length !== bodyBytes + MAC_BYTES || bytes.toString('base64url') !== token) return null;
      const body = bytes.subarray(0, bodyBytes);
      if (!timingSafeEqual(bytes.subarray(bodyBytes), sign(body))) return null;
      return {
        ids: Array.from({ length: idCount }, (_, at) => bytesToId(body.subarray(at * ID_BYTES))),
        number: hasNumber ? body.readBigInt64BE(stampAt + EPOCH_BYTES + EXPIRY_BYTES) : null,
        epoch: body.readUInt16BE(stampAt),
        expiry: body.readUInt32BE(stampAt + EPOCH_BYTES),
      };
    },
  };
}

function idToBytes(id: string): Buffer {
  const bytes = Buffer.from(id.replaceAll('-', ''), 'hex');
  if (bytes.length !== ID_BYTES) throw new TypeError(`"${id}" is not a UUID`);
  return bytes;
}

function bytesToId(bytes: Buffer): string {
  const digits = bytes.toString('hex', 0, ID_BYTES);
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
