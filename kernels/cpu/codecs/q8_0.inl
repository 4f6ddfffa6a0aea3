// SPDX-License-Identifier: GPL-3.0-or-later
struct Q8_0Layout : PanelLayout {
  static constexpr int kBits = 8;
  static constexpr int kZero = 128;
  static void read(const uint8_t* row, size_t, size_t step, StepOfRow& out) {
    const uint8_t* block = row + step * 34;
    out.scales[0] = loadAs<uint16_t>(block);
    for (size_t j = 0; j < kPanelStep; ++j) out.codes[j] = uint8_t(block[2 + j] ^ 0x80);
  }
};
constexpr PanelCodec kPanel_q8_0 = panelCodec<Q8_0Layout>("q8_0");
