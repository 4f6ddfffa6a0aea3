// SPDX-License-Identifier: GPL-3.0-or-later
constexpr PanelCodec kPanel_tq3_1s = panelCodec<TwoScalesLayout<3, levels::kTq3>>("tq3_1s");
