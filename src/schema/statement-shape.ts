import { type Placeholder, sql } from 'drizzle-orm';
import { type Columns, type ConditionText, knownOf } from '../services/condition.ts';

/** Conditions apart from their values: two with the same text are one and the same statement. */
export interface Shape {
  readonly text: string;
  /** By the names that stand for them in the template. */
  readonly values: Readonly<Record<string, unknown>>;
  /** The conditions, with names in the place of values. */
  readonly template: object;
}

/** Longer lists of values make statements that hardly come twice. */
const MAX_VALUES = 40;

const textIds = new WeakMap<ConditionText, number>();
let lastTextId = 0;

function idOf(text: ConditionText): number {
  const known = textIds.get(text);
  if (known !== undefined) return known;
  lastTextId += 1;
  textIds.set(text, lastTextId);
  return lastTextId;
}

/** Thrown and caught in this file: something is among the conditions that may be another statement each time. */
class Varying extends Error {}

/**
 * Takes the values out of conditions, as relational queries take these.
 * @returns null where something among them is not known well enough
 */
export function shapeOf(conditions: object): Shape | null {
  const values: Record<string, unknown> = {};
  const parts: string[] = [];
  let count = 0;
  const nameFor = (value: unknown): Placeholder => {
    if (count >= MAX_VALUES) throw new Varying();
    const name = `v${count++}`;
    values[name] = value instanceof Date ? value.toISOString() : value;
    parts.push('?');
    return sql.placeholder(name);
  };
  const templateOf = (node: unknown): unknown => {
    if (typeof node === 'string' || typeof node === 'number' || node instanceof Date) return nameFor(node);
    if (Array.isArray(node)) {
      parts.push('[');
      const items = node.map(templateOf);
      parts.push(']');
      return items;
    }
    if (isPlain(node)) return templateOfObject(node);
    if (typeof node !== 'boolean' && node != null) throw new Varying();
    // What is true or false makes another statement, not another value.
    parts.push(String(node));
    return node;
  };
  const templateOfObject = (node: object): object => {
    const template: Record<string, unknown> = {};
    parts.push('{');
    for (const [key, value] of Object.entries(node)) {
      parts.push(key, ':');
      template[key] = key === 'RAW' ? templateOfRaw(value) : templateOf(value);
    }
    parts.push('}');
    return template;
  };
  const templateOfRaw = (raw: unknown) => {
    const known = knownOf(raw);
    if (known === null) throw new Varying();
    parts.push(`#${idOf(known.text)}`);
    const names = known.values.map(nameFor);
    return (table: Columns) => known.text(table, ...names);
  };
  try {
    const template = templateOfObject(conditions);
    return { text: parts.join(' '), values, template };
  } catch (error) {
    if (error instanceof Varying) return null;
    throw error;
  }
}

const isPlain = (node: unknown): node is object =>
  typeof node === 'object' && node !== null && Object.getPrototypeOf(node) === Object.prototype;
