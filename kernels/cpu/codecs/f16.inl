// SPDX-License-Identifier: GPL-3.0-or-later
constexpr PanelCodec kPanel_f16 = floatPanelCodec<loadHalves>("f16");
