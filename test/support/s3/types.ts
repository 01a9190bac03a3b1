/** What a request asks for, by the names that S3's own documentation has. */
export type S3Operation =
  | 'ListObjectsV2'
  | 'HeadBucket'
  | 'HeadObject'
  | 'GetObject'
  | 'PutObject'
  | 'CopyObject'
  | 'DeleteObject'
  | 'DeleteObjects'
  | 'CreateMultipartUpload'
  | 'UploadPart'
  | 'UploadPartCopy'
  | 'CompleteMultipartUpload'
  | 'AbortMultipartUpload'
  | 'ListParts'
  | 'ListMultipartUploads'
  | 'Unknown';

/** A request that came in, from its head on; status and figures are filled in as it is served. */
export interface S3Request {
  readonly operation: S3Operation;
  readonly method: string;
  /** Empty if none is named. */
  readonly bucket: string;
  /** Decoded; empty for a request about a bucket. */
  readonly key: string;
  readonly query: URLSearchParams;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** 0 until an answer is on its way, and for ever if none was given. */
  readonly status: number;
  /** Of the answer's body. */
  readonly bytesSent: number;
  /** Of the request's body. */
  readonly bytesReceived: number;
  /** Whether it carries a signature, right or wrong. */
  readonly signed: boolean;
  readonly at: Date;
  /** When the answer was complete or the connection gone; null until then. */
  readonly endedAt: Date | null;
}

/** What happens to a request instead of, or around, being served. */
export type Scripted =
  | ScriptedAnswer
  /** Served; after so many bytes of the answer's body the connection is closed. */
  | { readonly cutAfterBytes: number }
  /** Served; after so many bytes of the answer's body nothing more comes, and the connection stays open. */
  | { readonly stallAfterBytes: number }
  /** Served after so many milliseconds. */
  | { readonly delayMs: number }
  /** Never answered; the connection stays open. */
  | { readonly hang: true }
  /** Served, but the connection is reset instead of an answer: what it did is done. */
  | { readonly loseAnswer: true }
  /** The connection is reset, and nothing is done. */
  | 'reset';

/** An answer to give instead of serving the request. */
export interface ScriptedAnswer {
  readonly status: number;
  /** With one the body is S3's XML of an error, whatever the status. */
  readonly code?: string;
  readonly message?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The Retry-After header, as it is sent. */
  readonly retryAfter?: number | string;
  /** Sent as it is, instead of an error. */
  readonly body?: string;
}

export interface PutOptions {
  readonly contentType?: string;
  /** Now, unless given. Kept to the second, as S3 does. */
  readonly lastModified?: Date;
  readonly storageClass?: string;
  /** Quotes are added if there are none; the MD5 unless given. Empty: the object tells none at all. */
  readonly etag?: string;
  /** What listings give as the key, just as it is, XML included: for keys that stores should never have let in. */
  readonly listedAs?: string;
  /** User metadata, by the whole names of its headers. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** An object that is made when somebody asks for it. */
export interface VirtualObject extends PutOptions {
  readonly key: string;
  /** In bytes. */
  readonly size: number;
  /** As long as `size`; zeros unless given. */
  readonly body?: () => Uint8Array;
}

/** In what a store may differ from AWS. */
export interface S3Quirks {
  /** Sends whole objects, whatever part is asked for. */
  ignoreRange?: boolean;
  /** Does not look at If-Match. */
  ignoreIfMatch?: boolean;
  /** Does not look at If-None-Match. */
  ignoreIfNoneMatch?: boolean;
  /** Lists keys as they are, although they were asked for URL-encoded. */
  ignoreEncodingType?: boolean;
  /** Begins every listing at its beginning. */
  ignoreContinuation?: boolean;
  /** Takes no continuation token, as if all had expired. */
  refuseContinuation?: boolean;
  /** How keys are URL-encoded in listings. AWS makes `+` of a space, unless this says otherwise. */
  encodeKey?: (key: string) => string;
}

/** An upload in parts that was neither completed nor aborted. */
export interface UnfinishedUpload {
  readonly key: string;
  readonly uploadId: string;
  readonly initiated: Date;
  /** By number. */
  readonly parts: { readonly number: number; readonly size: number }[];
}

/** A store that speaks S3 over HTTP on the loopback, and does what a test says. */
export interface S3Double {
  /** http://127.0.0.1:PORT, or with the name that was asked for. */
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** @param options.region us-east-1 unless given; @param options.public whether anybody may read it, unsigned */
  createBucket(name: string, options?: { readonly region?: string; readonly public?: boolean }): void;
  /** Stores an object, replacing what was there. @returns its ETag, with quotes */
  put(bucket: string, key: string, body: Uint8Array | string, options?: PutOptions): { etag: string };
  /**
   * Many objects without bytes of their own: made when asked for. What is put at the same key hides one.
   * @param at gives the object of an index from 0 on, in the byte order of their keys
   */
  fill(bucket: string, count: number, at: (index: number) => VirtualObject): void;
  remove(bucket: string, key: string): void;
  has(bucket: string, key: string): boolean;
  /** @throws {Error} when there is none. */
  read(bucket: string, key: string): Buffer;
  /** All of them, in the order that they are listed in. */
  keys(bucket: string): string[];
  uploads(bucket: string): UnfinishedUpload[];
  /** Every request since the start, or since its `length` was set to 0. */
  readonly requests: S3Request[];
  /**
   * Asked before each request is served, with those that were added later first; undefined: serve it.
   * @returns takes it away again
   */
  script(handle: (request: S3Request) => Scripted | undefined): () => void;
  readonly quirks: S3Quirks;
  /** Waited before each answer, in milliseconds. */
  latencyMs: number;
  /** The most keys that a page of a listing holds. */
  maxKeys: number;
  stop(): Promise<void>;
}
