// SPDX-License-Identifier: GPL-3.0-or-later
struct Q3_KLayout : SuperLayout {
  static constexpr int kBits = 3;
  static constexpr int kZero = 4;
  static constexpr size_t kGroup = 16;
  // High bits, 32 bytes | 2-bit plane of 64 | 16 scales of six bits around 32, low nibbles in 8
  // bytes, high pairs in 4 | half d.
  static void read(const uint8_t* row, size_t, size_t step, StepOfRow& out) {
    const uint8_t* block = row + step / 8 * 110;
    const size_t first = step % 8 * kPanelStep;
    out.header[0] = loadAs<uint16_t>(block + 108);
    for (size_t group = 0; group < 2; ++group) {
      const size_t part = first / 16 + group;
      const unsigned scale =
          planeCode<4>(block + 96, 8, part) | planeCode<2>(block + 104, 4, part) << 4;
      out.scales[group] = uint8_t(int(scale) - 32);
    }
    for (size_t i = 0; i < kPanelStep; ++i) {
      out.codes[i] = uint8_t(planeCode<2>(block + 32, 32, first + i) |
                             planeCode<1>(block, 32, first + i) << 2);
    }
  }
};
constexpr PanelCodec kPanel_q3_k = panelCodec<Q3_KLayout>("q3_k");
