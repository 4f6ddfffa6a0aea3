// SPDX-License-Identifier: GPL-3.0-or-later
constexpr PanelCodec kPanel_bf16 = floatPanelCodec<loadBrains>("bf16");
