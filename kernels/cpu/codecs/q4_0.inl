// SPDX-License-Identifier: GPL-3.0-or-later
struct Q4_0Layout : PanelLayout {
  static constexpr int kBits = 4;
  static constexpr int kZero = 8;
  static void read(const uint8_t* row, size_t, size_t step, StepOfRow& out) {
    const uint8_t* block = row + step * 18;
    out.scales[0] = loadAs<uint16_t>(block);
    readNibbles(block + 2, out.codes);
  }
};
constexpr PanelCodec kPanel_q4_0 = panelCodec<Q4_0Layout>("q4_0");
