import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';

/** What a secret belongs to: sealed for one of them, it cannot be opened as any other's. */
export interface SecretOwner {
  /** What kind of secret it is, and so which column it stands in. */
  readonly purpose: string;
  readonly teamId: string;
  /** The id of its row; empty for a secret that several rows of a team hold. */
  readonly rowId: string;
}

/** Encrypts what is kept in the database and may not be read there. */
export interface SecretBox {
  /** The id of the key that seals. */
  readonly currentKeyId: string;
  /** Encrypts a text with the current key: `v1.<key id>.<nonce>.<ciphertext>.<tag>`. */
  seal(text: string, owner: SecretOwner): string;
  /**
   * Decrypts what was sealed with the current key or a previous one.
   * @throws {SecretBoxError} when no key is known for it, it was changed, or it was sealed for another owner
   */
  open(sealed: string, owner: SecretOwner): string;
  /** Whether the current key has sealed it. */
  isCurrent(sealed: string): boolean;
  /** The id of the key that has sealed it; null for what is no sealed text. */
  keyIdOf(sealed: string): string | null;
  /** Whether there is a key of this id, the current one or a previous one. */
  hasKey(keyId: string): boolean;
}

/** A secret of the database cannot be read; nothing of it is in the message. */
export class SecretBoxError extends Error {
  override readonly name = 'SecretBoxError';
}

const ALGORITHM = 'aes-256-gcm';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const SEALED = /^v1\.([0-9a-f]{8})\.([\w-]{16})\.([\w-]*)\.([\w-]{22})$/;

interface SealingKey {
  readonly id: string;
  readonly bytes: Buffer;
}

/** The key for this use alone is derived (HKDF, RFC 5869): what else the server's secret is used for tells nothing about it. */
function deriveKey(secret: Buffer): SealingKey {
  const bytes = Buffer.from(hkdfSync('sha256', secret, '', 'sluice stored secrets', KEY_BYTES));
  return { id: createHash('sha256').update(bytes).digest('hex').slice(0, 8), bytes };
}

const boundTo = ({ purpose, teamId, rowId }: SecretOwner, key: SealingKey): Buffer =>
  Buffer.from([purpose, teamId, rowId, key.id].join('|'));

/**
 * Makes the box of a server: AES-256-GCM with a new random nonce each time, bound to the owner and the key's id.
 * @param options.current the server's secret, 32 bytes
 * @param options.previous the secrets before it, which only open
 */
export function createSecretBox(options: {
  readonly current: Buffer;
  readonly previous: readonly Buffer[];
}): SecretBox {
  const current = deriveKey(options.current);
  const keys = new Map([...options.previous.map(deriveKey), current].map((key) => [key.id, key]));
  const keyIdOf = (sealed: string) => SEALED.exec(sealed)?.[1] ?? null;
  return {
    currentKeyId: current.id,
    keyIdOf,
    isCurrent: (sealed) => keyIdOf(sealed) === current.id,
    hasKey: (keyId) => keys.has(keyId),
    seal: (text, owner) => seal(current, text, owner),
    open(sealed, owner) {
      const [, keyId = '', ...parts] = SEALED.exec(sealed) ?? [];
      const key = keys.get(keyId);
      if (key === undefined) throw new SecretBoxError(explainMissingKey(keyId));
      return decrypt(key, parts, owner);
    },
  };
}

const explainMissingKey = (keyId: string) =>
  keyId === ''
    ? 'A stored secret is not in the form that it is written in. Restore its row from a backup, or give the secret anew.'
    : `A stored secret was encrypted with the key ${keyId}, which this server does not have. Name that key in SLUICE_PREVIOUS_SECRET_KEYS.`;

function seal(key: SealingKey, text: string, owner: SecretOwner): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(ALGORITHM, key.bytes, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(boundTo(owner, key));
  const ciphertext = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  const parts = [nonce, ciphertext, cipher.getAuthTag()].map((part) => part.toString('base64url'));
  return ['v1', key.id, ...parts].join('.');
}

function decrypt(key: SealingKey, parts: readonly string[], owner: SecretOwner): string {
  const [nonce, ciphertext, tag] = parts.map((part) => Buffer.from(part, 'base64url'));
  try {
    if (!nonce || !ciphertext || !tag || !parts.every(isCanonical)) throw new Error('not as it was written');
    const decipher = createDecipheriv(ALGORITHM, key.bytes, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(boundTo(owner, key)).setAuthTag(tag);
    return Buffer.concat([decipher.update(ciphertext), decipher.final()]).toString('utf8');
  } catch {
    // Why it failed tells nothing that would help, and an error of the cipher might hold what it was given.
    throw new SecretBoxError(
      'A stored secret cannot be decrypted: it was changed, or moved from another row. Restore its row from a backup, or give the secret anew.',
    );
  }
}

/** Spare bits of the last character would let several texts stand for the same bytes. */
const isCanonical = (part: string): boolean => Buffer.from(part, 'base64url').toString('base64url') === part;
