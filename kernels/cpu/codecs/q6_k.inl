// SPDX-License-Identifier: GPL-3.0-or-later
struct Q6_KLayout : SuperLayout {
  static constexpr int kBits = 6;
  static constexpr int kZero = 32;
  static constexpr size_t kGroup = 16;
  // 4-bit plane of 128 bytes | 2-bit plane of 64 | 16 signed scales | half d.
  static void read(const uint8_t* row, size_t, size_t step, StepOfRow& out) {
    const uint8_t* block = row + step / 8 * 210;
    const size_t first = step % 8 * kPanelStep;
    out.header[0] = loadAs<uint16_t>(block + 208);
    for (size_t group = 0; group < 2; ++group) {
      out.scales[group] = block[192 + first / 16 + group];
    }
    for (size_t i = 0; i < kPanelStep; ++i) {
      out.codes[i] = uint8_t(planeCode<4>(block, 64, first + i) |
                             planeCode<2>(block + 128, 32, first + i) << 4);
    }
  }
};
constexpr PanelCodec kPanel_q6_k = panelCodec<Q6_KLayout>("q6_k");
