/** Where a listing stands. */
export interface S3Position {
  /** What the store gave to go on with; null: only the key is known. */
  readonly token: string | null;
  /** The last key that came; null if none has. */
  readonly after: string | null;
  /** How many pages without any key came in a row. */
  readonly empty: number;
}

/** Writes a position as text. */
export function writePosition({ token, after, empty }: S3Position): string {
  return Buffer.from(JSON.stringify([token, after, empty])).toString('base64url');
}

/** Reads what `writePosition` wrote. @throws {Error} for any other text. */
export function readPosition(text: string): S3Position {
  const [token, after, empty]: readonly unknown[] = parse(text);
  if (!isTextOrNull(token) || !isTextOrNull(after) || typeof empty !== 'number') throw unreadable();
  return { token, after, empty };
}

function parse(text: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString());
    return Array.isArray(value) ? value : [];
  } catch {
    throw unreadable();
  }
}

const isTextOrNull = (value: unknown): value is string | null => value === null || typeof value === 'string';

const unreadable = () => new Error('This is no position in the listing of a bucket.');
