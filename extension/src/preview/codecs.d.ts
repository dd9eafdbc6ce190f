// The codecs' packages declare no types; CodecFactory declares what is used of them.
declare module '@cornerstonejs/*' {
  const factory: unknown;
  export default factory;
}
