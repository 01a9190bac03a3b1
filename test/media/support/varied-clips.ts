const SIZE = 's=640x360:r=25';

/** Pictures of many kinds, by a number; no two numbers look the same. Each goes on for as long as it is asked. */
const KINDS: readonly ((n: number) => string)[] = [
  (n) =>
    `mandelbrot=${SIZE}:maxiter=500:start_x=${-0.75 + (n % 7) * 0.02}:start_y=${0.1 + n * 0.006}:start_scale=${0.3 / (n + 1)}:end_scale=${0.02 / (n + 1)}:end_pts=250`,
  (n) =>
    `testsrc2=${SIZE},hue=h=${n * 40},scroll=hpos=${(n * 0.17) % 1}:vpos=${(n * 0.23) % 1},rotate=${n * 0.5}:ow=iw:oh=ih`,
  (n) =>
    `life=s=80x45:r=5:seed=${n + 3}:ratio=0.4:mold=10:life_color=0x${colour(n)}:death_color=0x${colour(n + 9)},scale=640:360:flags=neighbor,fps=25`,
  (n) =>
    `cellauto=s=160x90:r=12:seed=${n + 5}:rule=${[110, 30, 18, 150, 90, 54][n % 6]}:full=0,scale=640:360:flags=neighbor,fps=25`,
  (n) =>
    `gradients=${SIZE}:n=${4 + (n % 4)}:seed=${n * 7 + 1}:speed=0.02:type=${['linear', 'radial', 'circular', 'spiral'][n % 4]}`,
  (n) => `sierpinski=${SIZE}:seed=${n * 11 + 2}:jump=60:type=${n % 2 === 0 ? 'carpet' : 'triangle'}`,
  (n) =>
    `perlin=${SIZE}:octaves=${2 + (n % 3)}:persistence=0.7:xscale=${2 + (n % 3)}:yscale=2:tscale=0.4:random_seed=${n * 13 + 1}:random_mode=seed`,
  // A camera that goes over a still picture, with the noise of one, and a cut in the middle.
  (n) =>
    `mandelbrot=s=1280x720:r=25:maxiter=500:start_x=${-0.7 - n * 0.03}:start_y=${0.28 + n * 0.01}:start_scale=${0.08 / (1 + n)},loop=loop=-1:size=1:start=0,scroll=h=${0.0005 * (1 + (n % 3))}:v=0.0004,hue=h='if(lt(t\\,4)\\,${n * 30}\\,${n * 30 + 120})',negate=enable='gt(t\\,4)',scale=640:360,noise=alls=6:allf=t`,
];

const colour = (n: number) => ((n * 2_654_435_761) % 0xff_ffff).toString(16).padStart(6, '0');

/**
 * The filters of a moving picture that looks like that of no other number.
 * @param seconds how long it is
 */
export function variedPicture(number: number, seconds: number): string {
  const kind = KINDS[number % KINDS.length];
  if (!kind) throw new Error('there is no such kind');
  return `${kind(Math.floor(number / KINDS.length))},trim=duration=${seconds}`;
}
