import {
  AV_PKT_DATA_DISPLAYMATRIX,
  AV_PKT_DATA_DOVI_CONF,
  AVCOL_TRC_ARIB_STD_B67,
  AVCOL_TRC_SMPTE2084,
  AVMEDIA_TYPE_AUDIO,
} from 'node-av/constants';
import type { ByteSource } from './byte-source.ts';
import { codecNameOf, type DecodedPicture, decodeCleanPicture } from './decode.ts';
import { type OpenVideo, withOpenVideo } from './demux.ts';
import { assertWhole, measureDuration } from './duration.ts';
import { broken } from './errors.ts';
import type { MediaFacts } from './facts.ts';
import { containerOf } from './formats.ts';
import { hasProtectedVideo } from './mp4-boxes.ts';
import { createPacketReader, frameRateOf, type PacketReader } from './packets.ts';
import { isDecodable, rotationOf, shownSize } from './picture.ts';

/**
 * Judges a file and gives its facts. Only for a process of its own: a hostile file may crash it.
 * Throws MediaRejectedError, or what `source` threw.
 */
export function probe(source: ByteSource): Promise<MediaFacts> {
  return withOpenVideo(source, async (video) => {
    const packets = createPacketReader(video);
    try {
      return await judge(video, packets);
    } finally {
      packets.free();
    }
  });
}

async function judge(video: OpenVideo, packets: PacketReader): Promise<MediaFacts> {
  const isMp4 = video.demuxer.startsWith('mov');
  await assertWhole(video);
  if (isMp4 && (await hasProtectedVideo(video.source))) throw broken('it is encrypted');
  const picture = await decodeCleanPicture(video, packets);
  const duration = await measureDuration(video, packets);
  const rotation = rotationIn(video, picture);
  const { name: container, mimeType } = containerOf(video.demuxer, video.head);
  const size = shownSize(picture, pixelAspectIn(video, picture), rotation);
  if (!isDecodable(size))
    throw broken(`its picture claims to be shown with ${size.width}x${size.height} pixels`);
  return {
    size: video.source.size,
    duration: Math.round(duration * 1e6) / 1e6,
    ...size,
    container,
    mimeType,
    videoCodec: codecNameOf(video.stream),
    audioCodec: audioCodecIn(video),
    frameRate: frameRateOf(video.stream),
    bitrate: Math.round((video.source.size * 8) / duration),
    rotation,
    hdr: isHdr(video, picture),
  };
}

/** Degrees clockwise by which the pictures are turned when shown, by the container's word or the codec's. */
export function rotationIn({ stream }: OpenVideo, picture: DecodedPicture): number {
  return rotationOf(stream.codecpar.getCodedSideData(AV_PKT_DATA_DISPLAYMATRIX) ?? picture.displayMatrix);
}

/**
 * Width to height of one pixel, 1 when it is not told. The container's word goes before the codec's, as in
 * FFmpeg's av_guess_sample_aspect_ratio.
 */
export function pixelAspectIn({ stream }: OpenVideo, picture: DecodedPicture): number {
  const { num, den } = stream.sampleAspectRatio;
  if (num > 0 && den > 0) return num / den;
  return picture.pixelAspect > 0 ? picture.pixelAspect : 1;
}

function audioCodecIn({ context }: OpenVideo): string | null {
  const best = context.findBestStream(AVMEDIA_TYPE_AUDIO);
  const stream = context.streams.find(({ index }) => index === best);
  return stream ? codecNameOf(stream) : null;
}

function isHdr(video: OpenVideo, picture: DecodedPicture): boolean {
  return (
    hasHdrTransfer(video, picture) || video.stream.codecpar.getCodedSideData(AV_PKT_DATA_DOVI_CONF) !== null
  );
}

/** Whether the brightness of the pictures is written down as PQ or HLG. */
export function hasHdrTransfer({ stream }: OpenVideo, picture: DecodedPicture): boolean {
  return [AVCOL_TRC_SMPTE2084, AVCOL_TRC_ARIB_STD_B67].some(
    (transfer) => transfer === picture.colorTransfer || transfer === stream.codecpar.colorTrc,
  );
}
