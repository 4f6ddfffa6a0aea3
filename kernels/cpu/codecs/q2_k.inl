// SPDX-License-Identifier: GPL-3.0-or-later
struct Q2_KLayout : SuperLayout {
  static constexpr int kBits = 2;
  static constexpr size_t kGroup = 16;
  static constexpr bool kMinimum = true;
  // Sixteen bytes of scale and minimum, four bits each | 2-bit plane of 64 bytes | halves d, dmin.
  static void read(const uint8_t* row, size_t, size_t step, StepOfRow& out) {
    const uint8_t* block = row + step / 8 * 84;
    const size_t first = step % 8 * kPanelStep;
    out.header[0] = loadAs<uint16_t>(block + 80);
    out.header[1] = negatedHalf(loadAs<uint16_t>(block + 82));
    for (size_t group = 0; group < 2; ++group) {
      const uint8_t part = block[first / 16 + group];
      out.scales[group] = part & 15;
      out.minima[group] = part >> 4;
    }
    for (size_t i = 0; i < kPanelStep; ++i) {
      out.codes[i] = uint8_t(planeCode<2>(block + 16, 32, first + i));
    }
  }
};
constexpr PanelCodec kPanel_q2_k = panelCodec<Q2_KLayout>("q2_k");
