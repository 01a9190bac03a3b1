/** What takes turns by team. */
interface OfTeam {
  readonly teamId: string;
}

/** Things in a row, the next always of another team than the last as long as several teams have some. */
export interface Turns<T extends OfTeam> {
  readonly size: number;
  /** Puts one behind those of its team. */
  add(item: T): void;
  /** Takes the next one out. */
  next(): T | undefined;
  /** Takes all out. */
  clear(): T[];
}

/** An empty row. Within a team, first in is first out. */
export function createTurns<T extends OfTeam>(): Turns<T> {
  // A Map keeps its keys in the order in which they were set: the first team is the one whose turn it is.
  const teams = new Map<string, T[]>();
  let size = 0;
  return {
    get size() {
      return size;
    },
    add(item) {
      const items = teams.get(item.teamId);
      if (items === undefined) teams.set(item.teamId, [item]);
      else items.push(item);
      size += 1;
    },
    next() {
      const [first] = teams;
      if (first === undefined) return undefined;
      const [team, items] = first;
      const item = items.shift();
      if (teams.size > 1 || items.length === 0) teams.delete(team);
      if (teams.size > 0 && items.length > 0) teams.set(team, items);
      size -= 1;
      return item;
    },
    clear() {
      const all = [...teams.values()].flat();
      teams.clear();
      size = 0;
      return all;
    },
  };
}
