// SPDX-License-Identifier: GPL-3.0-or-later
struct Q5_1Layout : PanelLayout {
  static constexpr int kBits = 5;
  static constexpr bool kMinimum = true;
  static void read(const uint8_t* row, size_t, size_t step, StepOfRow& out) {
    const uint8_t* block = row + step * 24;
    out.scales[0] = loadAs<uint16_t>(block);
    out.minima[0] = loadAs<uint16_t>(block + 2);
    readNibbles(block + 8, out.codes);
    addFifthBits(loadAs<uint32_t>(block + 4), out.codes);
  }
};
constexpr PanelCodec kPanel_q5_1 = panelCodec<Q5_1Layout>("q5_1");
