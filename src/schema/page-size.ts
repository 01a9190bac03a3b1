/** How many entries a list gives when none are asked for, and at most. */
export const PAGE_SIZE = { default: 10, max: 100 };
