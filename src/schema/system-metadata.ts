import type { StoredSystemMetadata } from '../db/tables/videos.ts';
import { builder } from './builder.ts';

/** What was found in a file, with the file's name. */
export type FileFacts = StoredSystemMetadata & { readonly fileName: string };

export const SystemMetadata = builder.objectRef<FileFacts>('SystemMetadata').implement({
  description:
    'width and height: as it is shown, rotation and pixel shape applied. rotation: the degrees clockwise, already applied in them. Filters compare the same figures.',
  fields: (t) => ({
    fileName: t.exposeString('fileName'),
    size: t.expose('size', { type: 'BigInt' }),
    duration: t.exposeFloat('duration'),
    width: t.exposeInt('width'),
    height: t.exposeInt('height'),
    container: t.exposeString('container'),
    mimeType: t.exposeString('mimeType'),
    videoCodec: t.exposeString('videoCodec'),
    audioCodec: t.exposeString('audioCodec', { nullable: true }),
    frameRate: t.exposeFloat('frameRate', { nullable: true }),
    bitrate: t.field({
      type: 'BigInt',
      nullable: true,
      resolve: ({ bitrate }) => (bitrate === null ? null : Math.round(bitrate)),
    }),
    rotation: t.exposeInt('rotation'),
    hdr: t.exposeBoolean('hdr'),
  }),
});
