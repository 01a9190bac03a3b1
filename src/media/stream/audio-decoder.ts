import { Codec, CodecContext, FFmpegError, type Stream } from 'node-av/lib';
import { AUDIO_DECODERS } from '../formats.ts';

/** Whether a stream of sound can be decoded, with a decoder that is accepted. */
export function canDecodeAudio(stream: Stream): boolean {
  const { channels, sampleRate } = stream.codecpar;
  if (findDecoder(stream) === null || channels < 1 || sampleRate < 1) return false;
  try {
    openAudioDecoder(stream).freeContext();
    return true;
  } catch (error) {
    if (error instanceof FFmpegError) return false;
    throw error;
  }
}

function findDecoder({ codecpar }: Stream): Codec | null {
  const codec = Codec.findDecoder(codecpar.codecId);
  return codec?.name && AUDIO_DECODERS.has(codec.name) ? codec : null;
}

/**
 * A decoder of the stream's sound, to be freed by the caller. Ask `canDecodeAudio` first.
 * @throws {FFmpegError} when it does not take the stream's header.
 */
export function openAudioDecoder(stream: Stream): CodecContext {
  const codec = findDecoder(stream);
  if (codec === null) throw new Error('Nothing that is accepted decodes this sound');
  const decoder = new CodecContext();
  decoder.allocContext3(codec);
  try {
    FFmpegError.throwIfError(decoder.parametersToContext(stream.codecpar), 'parameters');
    decoder.pktTimebase = stream.timeBase;
    FFmpegError.throwIfError(decoder.open2Sync(codec), 'decoder');
    return decoder;
  } catch (error) {
    decoder.freeContext();
    throw error;
  }
}
