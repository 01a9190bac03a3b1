import type { FormattedExecutionResult } from 'graphql';

/**
 * Puts JSON that is there already in place of the payload of a message. The library writes the message, with null for the payload;
 * it asks for that in the same turn in which it sends, so that nothing comes in between.
 */
export interface PreparedPayloads {
  /** graphql-ws' onNext: what is written in the place of a result, nothing for one without JSON of its own. */
  placeholder(result: object): FormattedExecutionResult | undefined;
  /** The message as it is sent. */
  fill(message: string): string | Buffer;
}

const EMPTY = '"payload":null}';
const CLOSING_BRACE = 0x7d;

/** @param jsonOf the JSON of a result, where it is there already */
export function createPreparedPayloads(jsonOf: (result: object) => Buffer | null): PreparedPayloads {
  const placeholders = new WeakMap<object, FormattedExecutionResult>();
  let next: Buffer | null = null;
  const make = (json: Buffer): FormattedExecutionResult & { toJSON(): null } => ({
    toJSON() {
      next = json;
      return null;
    },
  });
  return {
    placeholder(result) {
      const known = placeholders.get(result);
      if (known !== undefined) return known;
      const json = jsonOf(result);
      if (json === null) return undefined;
      const placeholder = make(json);
      placeholders.set(result, placeholder);
      return placeholder;
    },
    fill(message) {
      if (next === null) return message;
      const json = next;
      next = null;
      if (!message.endsWith(EMPTY)) throw new Error('a message has no place for its payload');
      const head = message.slice(0, -'null}'.length);
      const length = Buffer.byteLength(head);
      const filled = Buffer.allocUnsafe(length + json.length + 1);
      filled.write(head);
      json.copy(filled, length);
      filled[length + json.length] = CLOSING_BRACE;
      return filled;
    },
  };
}
