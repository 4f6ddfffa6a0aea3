// The sixteen values of IQ4_NL and IQ4_XS (kernels/base/levels.h), four signed bytes to a word.
float unevenLevel(uint code) {
  const uint lower = code < 4u ? 0xbfad9881u : 0xf6eaddcfu;
  const uint upper = code < 12u ? 0x26190d01u : 0x71594535u;
  return float(signedByteOf(code < 8u ? lower : upper, code & 3u));
}
