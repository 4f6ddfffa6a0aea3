// SPDX-License-Identifier: GPL-3.0-or-later
struct Q2_0Layout : OneScaleLayout {
  static constexpr size_t kSuper = 2;
  static constexpr size_t kRow = 64;
  static void read(const uint8_t* row, size_t, size_t step, StepOfRow& out) {
    const uint8_t* block = row + step / 2 * 18;
    out.header[0] = loadAs<uint16_t>(block);
    readFields<2>(block + 2 + step % 2 * 8, out.codes);
  }
};
constexpr PanelCodec kPanel_q2_0 = panelCodec<Q2_0Layout>("q2_0");
