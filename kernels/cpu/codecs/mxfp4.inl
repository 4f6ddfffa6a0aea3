// SPDX-License-Identifier: GPL-3.0-or-later
struct MXFP4Layout : Float4Layout {
  static constexpr StepScale kScale = StepScale::Brain;
  // A power of two, 2^(byte − 128) for levels that are doubled | codes.
  static void read(const uint8_t* row, size_t, size_t step, StepOfRow& out) {
    const uint8_t* block = row + step * 17;
    out.scales[0] = uint16_t(block[0] < 2 ? 0x20 << block[0] : (block[0] - 1) << 7);
    readNibbles(block + 1, out.codes);
  }
};
constexpr PanelCodec kPanel_mxfp4 = panelCodec<MXFP4Layout>("mxfp4");
