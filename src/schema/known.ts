/**
 * A stored value as one of those that the API names. The tables already allow what later versions write.
 * @throws Error for a value that this version does not know
 */
export function known<Value extends string>(values: readonly Value[], value: string): Value {
  const found = values.find((candidate) => candidate === value);
  if (found === undefined) throw new Error(`${value} is not known to this version`);
  return found;
}
