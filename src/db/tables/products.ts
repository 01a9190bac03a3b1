/** What is made of a stored video, in the order of its stages. */
export const PRODUCT_NAMES = [
  'THUMBNAILS',
  'STREAM',
  'SCENES',
  'FINGERPRINT',
  'QUALITY',
  'SCAN_TYPE',
] as const;
export type ProductName = (typeof PRODUCT_NAMES)[number];

/** What an index may run on its videos; HLS is asked for beside them. */
export const ANALYZERS = ['THUMBNAILS', 'SCENES', 'FINGERPRINT', 'QUALITY', 'SCAN_TYPE'] as const;
export type AnalyzerName = (typeof ANALYZERS)[number];

export const PICTURE_FORMATS = ['jpeg', 'webp'] as const;
export type PictureFormat = (typeof PICTURE_FORMATS)[number];

export const SCAN_TYPES = [
  'PROGRESSIVE',
  'INTERLACED_TFF',
  'INTERLACED_BFF',
  'TELECINED',
  'UNKNOWN',
] as const;

export const HLS_STATUSES = ['PROCESSING', 'COMPLETE', 'CANCELED', 'ERROR'] as const;
export type HlsStatus = (typeof HLS_STATUSES)[number];

/** Files of a product: paths are below the prefix, which one run of one job has written. */
interface StoredFiles {
  /** `teams/<team>/tasks/<task>/<claim>` */
  readonly prefix: string;
}

export interface StoredStream extends StoredFiles {
  readonly playlist: string;
  readonly renditions: readonly {
    readonly width: number;
    readonly height: number;
    readonly bandwidth: number;
    readonly codecs: string;
    readonly copied: boolean;
  }[];
}

export interface StoredPictures extends StoredFiles {
  readonly poster: string;
  readonly thumbnails: readonly string[];
  readonly storyboard: string;
}

/** start and end in seconds. */
export interface StoredScenes extends StoredFiles {
  readonly scenes: readonly {
    readonly start: number;
    readonly end: number;
    readonly thumbnail: string | null;
  }[];
}

export interface StoredQuality {
  readonly overall: number;
  readonly metrics: readonly {
    readonly name: string;
    readonly mean: number;
    readonly score: number;
    readonly label: string;
  }[];
}
