// SPDX-License-Identifier: GPL-3.0-or-later
struct Q5_0Layout : PanelLayout {
  static constexpr int kBits = 5;
  static constexpr int kZero = 16;
  static void read(const uint8_t* row, size_t, size_t step, StepOfRow& out) {
    const uint8_t* block = row + step * 22;
    out.scales[0] = loadAs<uint16_t>(block);
    readNibbles(block + 6, out.codes);
    addFifthBits(loadAs<uint32_t>(block + 2), out.codes);
  }
};
constexpr PanelCodec kPanel_q5_0 = panelCodec<Q5_0Layout>("q5_0");
