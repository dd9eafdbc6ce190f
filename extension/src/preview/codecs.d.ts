// The codecs' packages declare no types; CodecFactory says what of them is used.
declare module '@cornerstonejs/*' {
  const factory: unknown;
  export default factory;
}
