// SPDX-License-Identifier: GPL-3.0-or-later
struct Q1_0Layout : OneScaleLayout {
  static constexpr size_t kSuper = 4;
  static constexpr size_t kRow = 128;
  // Half d | 16 bytes of signs.
  static void read(const uint8_t* row, size_t, size_t step, StepOfRow& out) {
    const uint8_t* block = row + step / 4 * 18;
    out.header[0] = loadAs<uint16_t>(block);
    for (size_t i = 0; i < kPanelStep; ++i) {
      out.codes[i] = uint8_t(planeCode<1>(block + 2, 1, step % 4 * kPanelStep + i) << 1);
    }
  }
};
constexpr PanelCodec kPanel_q1_0 = panelCodec<Q1_0Layout>("q1_0");
