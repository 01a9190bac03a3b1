/** What media work leaves, by extension; anything else is served to nobody. */
const TYPES: Readonly<Record<string, string>> = {
  m3u8: 'application/vnd.apple.mpegurl',
  mp4: 'video/mp4',
  vtt: 'text/vtt; charset=utf-8',
  jpg: 'image/jpeg',
  webp: 'image/webp',
};

/** No dot but the one before the extension, so that a path leads nowhere else. */
const NAME = /^([a-z0-9_-]{1,128})\.([a-z0-9]{1,8})$/;
const AUDIO = /^audio([_-]|$)/;

/** The folders that products of media work lie in, below the prefix of the work. */
export const PRODUCT_FOLDERS: readonly string[] = ['stream', 'pictures', 'scenes'];

/** The media type of a file that media work left; null for what it cannot have left. */
export function typeOfProduct(folder: string, file: string): string | null {
  const [, name, extension] = NAME.exec(file) ?? [];
  if (!PRODUCT_FOLDERS.includes(folder) || name === undefined || extension === undefined) return null;
  if (extension === 'mp4' && AUDIO.test(name)) return 'audio/mp4';
  return Object.hasOwn(TYPES, extension) ? (TYPES[extension] ?? null) : null;
}
