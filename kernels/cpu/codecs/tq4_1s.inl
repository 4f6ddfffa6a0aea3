// SPDX-License-Identifier: GPL-3.0-or-later
constexpr PanelCodec kPanel_tq4_1s = panelCodec<TwoScalesLayout<4, levels::kTq4>>("tq4_1s");
