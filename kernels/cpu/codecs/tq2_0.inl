// SPDX-License-Identifier: GPL-3.0-or-later
struct TQ2_0Layout : OneScaleLayout {
  static constexpr size_t kSuper = 8;
  static constexpr size_t kRow = 256;
  // 2-bit plane of 64 bytes | half d.
  static void read(const uint8_t* row, size_t, size_t step, StepOfRow& out) {
    const uint8_t* block = row + step / 8 * 66;
    out.header[0] = loadAs<uint16_t>(block + 64);
    for (size_t i = 0; i < kPanelStep; ++i) {
      out.codes[i] = uint8_t(planeCode<2>(block, 32, step % 8 * kPanelStep + i));
    }
  }
};
constexpr PanelCodec kPanel_tq2_0 = panelCodec<TQ2_0Layout>("tq2_0");
