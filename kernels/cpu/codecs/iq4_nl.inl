// SPDX-License-Identifier: GPL-3.0-or-later
struct IQ4_NLLayout : UnevenLayout {
  static void read(const uint8_t* row, size_t, size_t step, StepOfRow& out) {
    const uint8_t* block = row + step * 18;
    out.scales[0] = loadAs<uint16_t>(block);
    readNibbles(block + 2, out.codes);
  }
};
constexpr PanelCodec kPanel_iq4_nl = panelCodec<IQ4_NLLayout>("iq4_nl");
