/** VPS, SPS and PPS (ITU-T H.265, table 7-1). */
const PARAMETER_SETS = [32, 33, 34];

/** Whether the content of a box hvcC holds each kind of parameter set (ISO/IEC 14496-15, 8.3.3.1). */
export function holdsParameterSets(hvcC: Buffer): boolean {
  const found = new Set<number>();
  let at = 23;
  for (
    let arrays = hvcC.length > 22 ? hvcC.readUInt8(22) : 0;
    arrays > 0 && at + 3 <= hvcC.length;
    arrays--
  ) {
    const kind = hvcC.readUInt8(at) & 63;
    const units = hvcC.readUInt16BE(at + 1);
    at += 3;
    for (let unit = 0; unit < units && at + 2 <= hvcC.length; unit++) at += 2 + hvcC.readUInt16BE(at);
    if (units > 0 && at <= hvcC.length) found.add(kind);
  }
  return PARAMETER_SETS.every((kind) => found.has(kind));
}
