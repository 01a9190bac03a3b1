/** Demuxers that FFmpeg may use: containers of video, nothing that names other files. */
export const FORMAT_WHITELIST = 'mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,avi,flv,asf,mpeg,ogg,mxf';

/** FFmpeg's decoders by name. What is not here is not accepted, however well FFmpeg reads it. */
export const VIDEO_DECODERS: ReadonlySet<string> = new Set(
  (
    'h264 hevc libdav1d av1 vvc vp6 vp6a vp6f vp8 vp9 theora mpeg1video mpeg2video mpeg4 msmpeg4v1 msmpeg4v2 msmpeg4 ' +
    'h263 h263i h263p flv wmv1 wmv2 wmv3 vc1 mjpeg dvvideo dnxhd prores ffv1 jpeg2000 svq1 svq3 rawvideo v210 png'
  ).split(' '),
);

/** Sound is decoded for a stream that cannot take it as it is, and FFmpeg must look into it to know a track's parameters in TS, PS and AVI. */
export const AUDIO_DECODERS: ReadonlySet<string> = new Set(
  (
    'aac aac_latm ac3 eac3 dca truehd mlp mp1 mp1float mp2 mp2float mp3 mp3float opus libopus vorbis libvorbis flac alac speex ' +
    'nellymoser amrnb amrwb wmav1 wmav2 wmapro wmavoice wmalossless pcm_alaw pcm_mulaw pcm_s8 pcm_u8 pcm_s16be pcm_s16le ' +
    'pcm_s24be pcm_s24le pcm_s32be pcm_s32le pcm_f32be pcm_f32le pcm_bluray pcm_dvd pcm_s16be_planar s302m adpcm_ima_qt ' +
    'adpcm_ima_wav adpcm_ms adpcm_swf gsm gsm_ms qdm2 mace3 mace6'
  ).split(' '),
);

export const CODEC_WHITELIST = [...VIDEO_DECODERS, ...AUDIO_DECODERS].join(',');

export interface Container {
  readonly name: string;
  readonly mimeType: string;
}

const CONTAINERS = {
  mp4: 'video/mp4',
  mov: 'video/quicktime',
  mkv: 'video/x-matroska',
  webm: 'video/webm',
  avi: 'video/x-msvideo',
  flv: 'video/x-flv',
  wmv: 'video/x-ms-wmv',
  ogv: 'video/ogg',
  ts: 'video/mp2t',
  mpeg: 'video/mpeg',
  mxf: 'application/mxf',
} as const;

type ContainerName = keyof typeof CONTAINERS;

const BY_DEMUXER: Readonly<Record<string, ContainerName>> = {
  avi: 'avi',
  flv: 'flv',
  asf: 'wmv',
  mpegts: 'ts',
  mpeg: 'mpeg',
  ogg: 'ogv',
  mxf: 'mxf',
};

/**
 * The container in its usual words, by the demuxer that FFmpeg chose and the file's first bytes (64 or
 * more).
 */
export function containerOf(demuxer: string, head: Uint8Array): Container {
  const name = nameOf(demuxer, head);
  return { name, mimeType: CONTAINERS[name] };
}

function nameOf(demuxer: string, head: Uint8Array): ContainerName {
  const text = latin1(head);
  // Both are one demuxer in FFmpeg. DocType is in the EBML header (RFC 8794, section 11.2.6), the first element.
  if (demuxer.startsWith('matroska')) return text.slice(0, 128).includes('webm') ? 'webm' : 'mkv';
  // A QuickTime file has the brand 'qt  ', or is older than brands.
  if (demuxer.startsWith('mov'))
    return text.slice(4, 8) !== 'ftyp' || text.slice(8, 12) === 'qt  ' ? 'mov' : 'mp4';
  const name = BY_DEMUXER[demuxer];
  if (!name) throw new Error(`no name for the demuxer ${demuxer}`);
  return name;
}

const ASF_HEADER = '\x30\x26\xb2\x75\x8e\x66\xcf\x11';
const MP4_FIRST_BOXES = new Set([
  'ftyp',
  'moov',
  'mdat',
  'moof',
  'styp',
  'wide',
  'free',
  'skip',
  'pnot',
  'sidx',
]);

/**
 * Whether the first bytes are those of a container that is accepted: what cannot be read then is broken, and
 * not something else.
 */
export function looksLikeVideo(head: Uint8Array): boolean {
  const text = latin1(head);
  return (
    MP4_FIRST_BOXES.has(text.slice(4, 8)) ||
    text.startsWith('\x1a\x45\xdf\xa3') ||
    (text.startsWith('RIFF') && text.slice(8, 11) === 'AVI') ||
    text.startsWith('FLV\x01') ||
    text.startsWith(ASF_HEADER) ||
    text.startsWith('OggS') ||
    text.startsWith('\x00\x00\x01\xba') ||
    text.startsWith('\x06\x0e\x2b\x34') ||
    (text[0] === '\x47' && text[188] === '\x47' && text[376] === '\x47')
  );
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
