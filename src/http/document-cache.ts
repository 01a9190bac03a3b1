import type { DocumentNode } from 'graphql';
import { LRUCache } from 'lru-cache';

/** Characters of all remembered documents together: a parsed one takes up to a hundred times the memory of its text. */
const MAX_TEXT = 512 * 1024;
/** Longer documents are parsed each time: few tokens can have any length. */
const MAX_DOCUMENT_TEXT = 16 * 1024;

/** Parsed documents by their text. */
export interface DocumentCache {
  get(text: string): DocumentNode | undefined;
  set(text: string, document: DocumentNode): void;
}

/** Bounded by text and not by number, for documents may be of very different length. */
export function createDocumentCache(): DocumentCache {
  return new LRUCache<string, DocumentNode>({
    maxSize: MAX_TEXT,
    maxEntrySize: MAX_DOCUMENT_TEXT,
    sizeCalculation: (_document, text) => text.length,
  });
}

/** What a parser finds wrong is not remembered: it repeats the document, which may be of any length. */
export const NO_CACHE = { get: () => undefined, set: () => {} };
