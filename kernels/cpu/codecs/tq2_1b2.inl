// SPDX-License-Identifier: GPL-3.0-or-later
constexpr PanelCodec kPanel_tq2_1b2 = panelCodec<OneBitLayout<2, 2>>("tq2_1b2");
