// SPDX-License-Identifier: GPL-3.0-or-later
constexpr PanelCodec kPanel_tq2_1b8 = panelCodec<OneBitLayout<2, 8>>("tq2_1b8");
