/** The arguments of a page. */
export interface PageVariables {
  readonly first?: number | null;
  readonly after?: string | null;
  readonly last?: number | null;
  readonly before?: string | null;
}

/** What the tests look at in a page. */
export interface Page {
  readonly nodes: readonly { readonly id: string }[];
  readonly pageInfo: {
    readonly hasNextPage: boolean;
    readonly hasPreviousPage: boolean;
    readonly startCursor: string | null;
    readonly endCursor: string | null;
  };
}

type ReadPage = (page: PageVariables) => Promise<Page>;

/** The ids of a whole list, read in pages of `size` by first and after. */
export async function walkForwards(read: ReadPage, size: number): Promise<string[]> {
  const ids: string[] = [];
  let after: string | null = null;
  for (;;) {
    const { nodes, pageInfo }: Page = await read({ first: size, after });
    ids.push(...nodes.map(({ id }) => id));
    if (!pageInfo.hasNextPage) return ids;
    after = pageInfo.endCursor;
  }
}

/** The ids of a whole list in its order, read from its end in pages of `size` by last and before. */
export async function walkBackwards(read: ReadPage, size: number): Promise<string[]> {
  const pages: string[][] = [];
  let before: string | null = null;
  for (;;) {
    const { nodes, pageInfo }: Page = await read({ last: size, before });
    pages.unshift(nodes.map(({ id }) => id));
    if (!pageInfo.hasPreviousPage) return pages.flat();
    before = pageInfo.startCursor;
  }
}
