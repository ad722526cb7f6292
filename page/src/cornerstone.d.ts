/** Cornerstone's codecs bring no types; a .wasm file is imported as bundled_packages.mjs packs it. */
declare module "@cornerstonejs/*/decodewasmjs" {
  const factory: unknown;
  export default factory;
}
declare module "@cornerstonejs/*/decodewasm" {
  const packed: string;
  export default packed;
}
